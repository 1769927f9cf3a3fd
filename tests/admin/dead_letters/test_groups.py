"""Dead letters by error: the list of groups, a group's page, muting and notes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from django_jobs.admin.site.sparkline import sparkline
from django_jobs.models import DeadLetterGroup
from django_jobs.policy.states import State
from django_jobs.store.stats.rollup import roll_up
from tests import factories
from tests.sampleapp import jobs as sample

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
    assert "<span>3 open</span>" in page
    assert "no card 2" in page
    assert 'aria-label="3 in the last day"' in page


def test_a_groups_page_lists_its_newest_open_dead_letters(client: Client) -> None:
    log_in(client, *VIEW)
    one = factories.make_letter(fingerprint=PRINT)
    other = factories.make_letter(fingerprint="b" * 32)
    page = _get(client, url("deadlettergroup", PRINT))
    assert "<bdi>RuntimeError: it broke</bdi>" in page
    assert url("deadletter_change", one.pk) in page
    assert url("deadletter_change", other.pk) not in page


def test_a_muted_group_leaves_the_open_ones_and_comes_back(client: Client) -> None:
    log_in(client, *VIEW, "resolve_deadletter")
    factories.make_letter(fingerprint=PRINT)
    group = url("deadlettergroup", PRINT)
    client.post(url("deadlettergroup_act", PRINT, "mute"))
    assert group not in _get(client, url("deadlettergroups"))
    assert group in _get(client, url("deadlettergroups") + "?status=muted")
    assert "Muted by bo" in _get(client, group)
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


@pytest.mark.parametrize("verb", ["mute", "unmute", "note", "resolve", "undo"])
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
    factories.make_letter(fingerprint=PRINT)
    with django_assert_max_num_queries(15):
        _get(client, url("deadlettergroups"))
    with django_assert_max_num_queries(20):
        _get(client, url("deadlettergroup", PRINT))


def test_a_sparks_bars_are_as_high_as_their_hours() -> None:
    assert sparkline((0, 1, 4, 0))["path"] == "M24.0 24V18H47.0V24ZM48.0 24V0H71.0V24Z"
    assert sparkline((0,) * 24)["path"] == ""


def _make_dead(region: str, at: int, **fields: Any) -> None:
    arguments = {"region": region, "limit": at, "api_key": "hunter2"}
    job = factories.make_job(State.DEAD, name=sample.digest.name, arguments=arguments)
    factories.make_letter(job, fingerprint=PRINT, **fields)


def test_a_groups_page_has_the_newest_traceback_and_the_commonest_arguments(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    log_in(client, *VIEW)
    for at in range(8):
        _make_dead("eu" if at else "us", at, traceback=f"Traceback of {at}: KeyError")
    factories.make_letter(fingerprint=PRINT, job=None, traceback="Traceback of the newest", job_name=sample.digest.name)
    huge = factories.make_job(State.DEAD, name=sample.digest.name, arguments={"region": "x" * 20_000})
    factories.make_letter(huge, fingerprint="b" * 32)
    with django_assert_max_num_queries(20):
        page = _get(client, url("deadlettergroup", PRINT))
    assert page.count("Traceback of") == 1
    assert "Traceback of the newest" in page
    assert '<code dir="ltr">&quot;eu&quot;</code> <span class="jobs-minor">7 of 8</span>' in page
    assert "1 other value<" in page
    assert "8 different values<" in page
    assert "Of the newest 9 open dead letters." in page
    assert "hunter2" not in page
    assert "xxx" not in _get(client, url("deadlettergroup", "b" * 32))


def test_evidence_is_for_who_may_see_arguments(client: Client) -> None:
    log_in(client, "view_deadletter")
    _make_dead("eu", 1, traceback="Traceback of it")
    page = _get(client, url("deadlettergroup", PRINT))
    assert "Traceback of it" not in page
    assert "&quot;eu&quot;" not in page
