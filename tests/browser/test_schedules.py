"""A schedule is written: its next firings follow what is typed."""

from __future__ import annotations

import pytest

from tests import factories

from .visitor import Visitor


def test_the_next_firings_follow_what_is_typed(visitor: Visitor) -> None:
    factories.make_tick(factories.make_schedule("nightly"))
    visitor.go("django_jobs_cronschedule_changelist")
    assert visitor.grave_violations() == []
    visitor.page.click("text=Add schedule")
    visitor.page.fill("#id_cron", "0 4 * * *")
    visitor.wait_for_text("At 04:00 every day")
    assert visitor.page.locator("#schedule-preview time").count() == 5
    visitor.page.fill("#id_cron", "75 4 * * *")
    visitor.wait_for_text("minute: 75 is not 0-59")
    assert not visitor.page.is_visible("text=Preview next firings")
    assert visitor.grave_violations() == []


@pytest.mark.every_version
def test_the_tools_of_a_schedule_are_in_one_row(visitor: Visitor) -> None:
    schedule = factories.make_schedule("nightly")
    visitor.go("django_jobs_cronschedule_change", schedule.pk)
    tools = visitor.page.locator(".object-tools li > *")
    tops = [tools.nth(at).bounding_box()["y"] for at in range(tools.count())]
    assert len(tops) == 3
    assert max(tops) - min(tops) <= 1
