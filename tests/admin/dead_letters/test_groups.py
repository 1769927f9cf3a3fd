"""Dead letters by error: the list of groups, a group's page, muting and notes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from django_jobs.admin.dead_letters.groups import sparkline
from django_jobs.models import DeadLetterGroup
from django_jobs.store.stats.rollup import roll_up
from tests import factories

from ..staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

VIEW = ("view_deadletter", "view_job_arguments")
PRINT = "a" * 32


def _get(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("is_folded", [True, False])
def test_a_group_is_shown_with_its_numbers_before_and_after_it_is_counted(client: Client, is_folded: bool) -> None:
    log_in(client, *VIEW)
    for number in range(3):
        factories.make_letter(fingerprint=PRINT, error_class="shop.NoCard", error_message=f"no card {number}")
    if is_folded:
        roll_up(min_age=timedelta(0))
    page = _get(client, url("deadlettergroups"))
    assert url("deadlettergroup", PRINT) in page
    assert "<td>3</td><td>3</td>" in page
    assert "no card 2" in page
    assert 'aria-label="3 in the last day"' in page


def test_a_groups_page_lists_its_newest_open_dead_letters(client: Client) -> None:
    log_in(client, *VIEW)
    one = factories.make_letter(fingerprint=PRINT)
    other = factories.make_letter(fingerprint="b" * 32)
    page = _get(client, url("deadlettergroup", PRINT))
    assert url("deadletter_change", one.pk) in page
    assert url("deadletter_change", other.pk) not in page


def test_a_muted_group_leaves_the_open_ones_and_comes_back(client: Client) -> None:
    log_in(client, *VIEW, "resolve_deadletter")
    factories.make_letter(fingerprint=PRINT)
    group = url("deadlettergroup", PRINT)
    client.post(url("deadlettergroup_act", PRINT, "mute"))
    assert group not in _get(client, url("deadlettergroups"))
    assert group in _get(client, url("deadlettergroups") + "?status=muted")
    assert "Muted by" in _get(client, group)
    client.post(url("deadlettergroup_act", PRINT, "unmute"))
    assert group in _get(client, url("deadlettergroups"))


def test_a_note_is_kept_with_who_wrote_it(client: Client) -> None:
    log_in(client, *VIEW, "resolve_deadletter")
    factories.make_letter(fingerprint=PRINT)
    roll_up(min_age=timedelta(0))
    client.post(url("deadlettergroup_act", PRINT, "note"), {"note": "the bank knows"})
    group = DeadLetterGroup.objects.get()
    assert (group.note, group.noted_by) == ("the bank knows", "bo")
    assert "the bank knows" in _get(client, url("deadlettergroups"))


@pytest.mark.parametrize("verb", ["mute", "unmute", "note"])
def test_a_viewer_is_refused(client: Client, verb: str) -> None:
    log_in(client, *VIEW)
    factories.make_letter(fingerprint=PRINT)
    address = url("deadlettergroup_act", PRINT, verb)
    assert address not in _get(client, url("deadlettergroup", PRINT))
    assert client.post(address).status_code == 403


def test_an_error_that_nothing_died_of_is_not_found(client: Client) -> None:
    log_in(client, *VIEW)
    assert client.get(url("deadlettergroup", "f" * 32)).status_code == 404


def test_messages_are_left_out_for_who_may_not_read_them(client: Client) -> None:
    log_in(client, "view_deadletter")
    factories.make_letter(fingerprint=PRINT, error_message="no card 4711")
    assert "4711" not in _get(client, url("deadlettergroups")) + _get(client, url("deadlettergroup", PRINT))


@pytest.mark.parametrize("number", [10, 60])
def test_the_list_takes_the_same_few_queries_however_many_groups(
    client: Client, number: int, django_assert_max_num_queries: Any
) -> None:
    log_in(client, *VIEW)
    for at in range(number):
        factories.make_letter(fingerprint=f"{at:032}")
    roll_up(min_age=timedelta(0))
    with django_assert_max_num_queries(15):
        _get(client, url("deadlettergroups"))


def test_a_sparks_bars_are_as_high_as_their_hours() -> None:
    drawn = sparkline((0, 1, 4, 0))
    assert [(x, height) for x, _, _, height in drawn["bars"]] == [(24.0, 6), (48.0, 24)]
    assert sparkline((0,) * 24)["bars"] == []
