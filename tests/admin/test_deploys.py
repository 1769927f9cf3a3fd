"""Deploys on the dashboard and in the lists of errors; ``tests/store/test_deploys.py`` tests when one is recorded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from django_jobs.admin.site.times import time_text
from django_jobs.models import TypeRollup
from django_jobs.store.stats.rollup import roll_up
from tests import factories

from .staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = "<script>alert(1)</script>"


def _now(client: Client, period: str = "1h") -> dict[str, Any]:
    answer: dict[str, Any] = client.get(url("dashboard_now"), {"period": period}).json()
    return answer


def test_deploys_of_the_period_are_lines_in_the_charts_and_a_list(client: Client) -> None:
    old = factories.make_deploy("older", first_seen_at=factories.ago(hours=3))
    sha = "4f2c1a7" + "0" * 33
    factories.make_deploy(sha, first_seen_at=factories.ago(minutes=20))
    new = factories.make_deploy("v2", first_seen_at=factories.ago(minutes=10))
    log_in(client, "view_job")
    answer = _now(client)
    assert [line["label"] for line in answer["chart"]["deploys"]] == ["v2", "4f2c1a7"]
    assert answer["chart"]["deploys"][0]["at"] == pytest.approx(new.first_seen_at.timestamp())
    assert f'<strong title="{sha}">4f2c1a7</strong>' in answer["now"]
    assert "older" not in answer["now"]
    assert _now(client, "24h")["chart"]["deploys"][-1]["at"] == old.first_seen_at.timestamp()


def test_without_deploys_nothing_is_said_of_them(client: Client) -> None:
    log_in(client, "view_job")
    answer = _now(client)
    assert (answer["chart"]["deploys"], "Deploys" in answer["now"]) == ([], False)


def test_several_projects_are_told_apart_and_names_are_escaped(client: Client) -> None:
    factories.make_deploy(HOSTILE, project="shop")
    log_in(client, "view_job")
    assert "(shop)" not in _now(client)["now"]
    factories.make_deploy("v2", project="mail")
    answer = _now(client)["now"]
    assert "v2 (mail)" in answer
    assert "(shop)" in answer
    assert HOSTILE not in answer
    assert HOSTILE not in client.get(url("dashboard"), follow=True).content.decode()


def _add_runs(hours_ago: int, succeeded: int, failed: int) -> None:
    hour = factories.ago(hours=hours_ago).replace(minute=0, second=0, microsecond=0)
    types = {"shop.sync": [succeeded, failed, 0, 1.5, [], []]}
    TypeRollup.objects.create(span_seconds=3600, starts_at=hour, types=types)


def test_the_page_begins_with_what_came_with_the_newest_deploy(client: Client) -> None:
    at = factories.ago(hours=1).replace(minute=0, second=0, microsecond=0)
    factories.make_deploy("4f2c1a", first_seen_at=at)
    factories.make_worker(release="4f2c1a")
    _add_runs(2, 996, 4)
    _add_runs(1, 939, 61)
    log_in(client, "view_job", "view_deadletter")
    text = f"Since 4f2c1a at {time_text(at)} shop.sync fails 6.1\N{NO-BREAK SPACE}% instead of 0.4\N{NO-BREAK SPACE}%"
    page = client.get(url("dashboard"), follow=True).content.decode()
    assert f"<bdi>{text}.</bdi>" in page
    assert f'href="{url("job_changelist")}?name=shop.sync"' in page
    factories.make_letter(job_name="shop.sync", error_class="builtins.KeyError")
    page = _now(client)["figures"]
    assert f"<bdi>{text}; KeyError is new.</bdi>" in page
    assert f'href="{url("deadlettergroups")}?job_name=shop.sync"' in page
    with translation.override("de"):
        page = client.get(url("dashboard_now"), headers={"accept-language": "de"}).json()["figures"]
    assert "schlägt shop.sync zu 6,1" in page


def test_an_error_that_came_after_the_newest_deploy_is_marked(client: Client) -> None:
    mark = "new since deploy v2"
    factories.make_letter(fingerprint="a" * 32, died_at=factories.ago(hours=2))
    factories.make_deploy("v1", first_seen_at=factories.ago(hours=3))
    factories.make_deploy("v2", first_seen_at=factories.ago(hours=1))
    factories.make_letter(fingerprint="b" * 32, died_at=factories.ago(minutes=5))
    log_in(client, "view_deadletter")
    for _ in range(2):  # before and after they are rolled up
        page = client.get(url("deadlettergroups")).content.decode()
        assert page.count(mark) == 1
        assert mark in client.get(url("deadlettergroup_evidence", "b" * 32)).content.decode()
        assert mark not in client.get(url("deadlettergroup_evidence", "a" * 32)).content.decode()
        roll_up(min_age=timedelta(0))
