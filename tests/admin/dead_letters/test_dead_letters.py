"""Dead letters: the list, a page, its actions and permissions, races and hostile text."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from django_jobs.models import DeadLetter, Job, JobLog
from django_jobs.policy.states import State
from django_jobs.testing import drain
from tests import factories
from tests.concurrency import run_together
from tests.sampleapp import jobs as sample

from ..staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

VIEW = ("view_deadletter", "view_job_arguments")
HOSTILE = "<script>alert(1)</script>\u202e\U0001f4a5"
VERBS = {"redrive": "redrive_deadletter", "resolve": "resolve_deadletter", "purge": "purge_deadletter"}
STATUS = {"redrive": "redriven", "resolve": "resolved", "purge": "purged"}


def _list(client: Client, query: str = "") -> str:
    response = client.get(url("deadletter_changelist") + query)
    assert response.status_code == 200
    return response.content.decode()


def _page(client: Client, dead_letter: DeadLetter) -> str:
    response = client.get(url("deadletter_change", dead_letter.pk))
    assert response.status_code == 200
    return response.content.decode()


def _act(client: Client, dead_letter: DeadLetter | int, verb: str, **data: Any) -> Any:
    pk = dead_letter if isinstance(dead_letter, int) else dead_letter.pk
    return client.post(url("deadletter_act", pk, verb), data, follow=True)


def test_the_list_shows_open_dead_letters_by_default(client: Client) -> None:
    log_in(client, *VIEW)
    factories.make_letter(job_name="shop.open")
    factories.make_letter(job_name="shop.gone", status="purged")
    assert "shop.open" in _list(client)
    assert "shop.gone" not in _list(client)
    assert "shop.gone" in _list(client, "?status=purged")
    assert {"shop.gone", "shop.open"} <= {
        name for name in ("shop.gone", "shop.open") if name in _list(client, "?status=all")
    }
    assert '<td class="field-reason_display">attempts used up</td>' in _list(client)


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        ("reason=quarantined", "reason", "quarantined"),
        ("job_name=shop.this", "job_name", "shop.this"),
        ("queue_name=slow", "queue_name", "slow"),
        (f"fingerprint={'a' * 32}", "fingerprint", "a" * 32),
        ("error=no+card", "error_message", "there is no card left"),
        ("q=NoCard", "error_class", "shop.NoCard"),
        ("q=KeyError", "error_class", "builtins.KeyError"),
        ("q=builtins.KeyError", "error_class", "builtins.KeyError"),
        ("error=KeyError", "error_class", "builtins.KeyError"),
        ("error=builtins.KeyError", "error_class", "builtins.KeyError"),
    ],
)
def test_each_filter_is_an_address(client: Client, query: str, field: str, value: str) -> None:
    log_in(client, *VIEW)
    wanted = factories.make_letter(**{field: value})
    other = factories.make_letter()
    page = _list(client, f"?{query}")
    assert url("deadletter_change", wanted.pk) in page
    assert url("deadletter_change", other.pk) not in page


def test_who_may_not_read_errors_does_not_see_search_or_export_them(client: Client) -> None:
    log_in(client, "view_deadletter")
    dead_letter = factories.make_letter(error_message="no card 4711", traceback="Traceback 4711")
    for page in (_list(client), _page(client, dead_letter), _list(client, "?error=nothing&q=")):
        assert "RuntimeError" in page
        assert "4711" not in page
    assert url("deadletter_change", dead_letter.pk) not in _list(client, "?q=4711")
    assert client.get(url("deadletter_text", dead_letter.pk)).status_code == 403
    assert client.get(url("deadletter_export", "csv")).status_code == 403


@pytest.mark.parametrize("verb", VERBS)
def test_an_action_is_applied_once_with_permission_and_logged(client: Client, verb: str) -> None:
    log_in(client, *VIEW, VERBS[verb])
    dead_letter = factories.make_letter()
    assert url("deadletter_act", dead_letter.pk, verb) in _page(client, dead_letter)
    assert f"is {STATUS[verb]}." in _act(client, dead_letter, verb).content.decode()
    dead_letter.refresh_from_db()
    assert (dead_letter.status, dead_letter.resolved_by) == (STATUS[verb], "bo")
    assert [entry.change_message for entry in LogEntry.objects.all()] == [STATUS[verb]]
    again = _act(client, dead_letter, verb).content.decode()
    assert f"is {STATUS[verb]} now; nothing was changed." in again
    assert LogEntry.objects.count() == 1


@pytest.mark.parametrize("verb", VERBS)
def test_who_may_not_sees_no_button_and_is_refused(client: Client, verb: str) -> None:
    log_in(client, *VIEW, *(code for key, code in VERBS.items() if key != verb))
    dead_letter = factories.make_letter()
    assert url("deadletter_act", dead_letter.pk, verb) not in _page(client, dead_letter)
    assert f"{verb}_selected" not in _list(client)
    assert _act(client, dead_letter, verb).status_code == 403
    dead_letter.refresh_from_db()
    assert dead_letter.status == "open"


def test_purging_asks_first(client: Client) -> None:
    log_in(client, *VIEW, "purge_deadletter")
    dead_letter = factories.make_letter()
    asked = client.get(url("deadletter_act", dead_letter.pk, "purge")).content.decode()
    assert "Yes, purge" in asked
    selected = {"action": "purge_selected", "_selected_action": [dead_letter.pk]}
    asked = client.post(url("deadletter_changelist"), selected).content.decode()
    assert "Yes, purge" in asked
    assert Job.objects.count() == 1
    client.post(url("deadletter_changelist"), {**selected, "confirmed": "1"})
    assert Job.objects.count() == 0


@pytest.mark.parametrize("verb", ["redrive", "resolve"])
def test_selected_dead_letters_are_closed_together(client: Client, verb: str) -> None:
    log_in(client, *VIEW, VERBS[verb])
    dead_letters = [factories.make_letter() for _ in range(3)]
    data = {"action": f"{verb}_selected", "_selected_action": [row.pk for row in dead_letters]}
    page = client.post(url("deadletter_changelist"), data, follow=True).content.decode()
    assert f"3 of 3 dead letters {STATUS[verb]}." in page
    assert LogEntry.objects.count() == 3


@pytest.mark.parametrize("verb", VERBS)
def test_a_deleted_dead_letter_leads_to_the_list_with_a_message(client: Client, verb: str) -> None:
    log_in(client, *VIEW, VERBS[verb])
    assert "no longer exists: it was pruned." in _act(client, 987_654, verb).content.decode()
    assert client.get(url("deadletter_change", 987_654), follow=True).status_code == 200


def test_two_simultaneous_requests_redrive_once(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    dead_letter = factories.make_letter()
    other = Client()
    other.cookies = client.cookies
    answers = run_together(
        lambda: _act(client, dead_letter, "redrive"),
        lambda: _act(other, dead_letter, "redrive"),
    )
    assert sum("is redriven." in answer.content.decode() for answer in answers) == 1
    job = Job.objects.get()
    assert (job.state, job.claim_number) == ("ready", 1)


def test_a_note_is_kept(client: Client) -> None:
    log_in(client, *VIEW, "resolve_deadletter")
    dead_letter = factories.make_letter()
    assert "Note saved." in _act(client, dead_letter, "note", note="see the bank's mail").content.decode()
    assert "see the bank&#x27;s mail" in _page(client, dead_letter)


def test_text_that_somebody_meant_badly_is_escaped_and_huge_text_cut(client: Client) -> None:
    log_in(client, *VIEW)
    dead_letter = factories.make_letter(
        error_class=HOSTILE, error_message=HOSTILE, traceback="x" * 1_000_000, job_name=HOSTILE, note=HOSTILE
    )
    for page in (_list(client), _page(client, dead_letter)):
        assert HOSTILE not in page
        assert len(page) < 200_000
    whole = client.get(url("deadletter_text", dead_letter.pk))
    assert whole["Content-Type"] == "text/plain; charset=utf-8"
    assert len(whole.content) > 1_000_000


def test_the_frame_in_the_projects_own_code_comes_before_the_traceback(client: Client) -> None:
    log_in(client, *VIEW)
    traceback = 'Traceback (most recent call last):\n  File "/srv/shop/jobs.py", line 7, in charge\n    bank.pay()\n'
    page = _page(client, factories.make_letter(traceback=traceback))
    assert "line 7" in page
    assert '<code dir="ltr">bank.pay()</code>' in page


@pytest.mark.parametrize("number", [10, 60])
def test_the_list_takes_the_same_few_queries_however_many_dead_letters(
    client: Client, number: int, django_assert_max_num_queries: Any
) -> None:
    log_in(client, *VIEW, *VERBS.values())
    for _ in range(number):
        factories.make_letter()
    with django_assert_max_num_queries(12):
        _list(client)


def test_without_the_permission_there_is_nothing_to_see(client: Client) -> None:
    log_in(client, "view_job")
    dead_letter = factories.make_letter()
    for address in (
        url("deadletter_changelist"),
        url("deadletter_change", dead_letter.pk),
        url("deadlettergroups"),
        url("deadlettergroup", dead_letter.fingerprint),
        url("deadletter_bulk_start", "redrive"),
        url("deadletter_export", "json"),
    ):
        assert client.get(address).status_code == 403, address


def test_a_dead_job_whose_dead_letter_was_resolved_stays_dead(client: Client) -> None:
    log_in(client, *VIEW, "resolve_deadletter")
    dead_letter = factories.make_letter()
    _act(client, dead_letter, "resolve")
    assert dead_letter.job is not None
    assert dead_letter.job.refresh().state == State.DEAD


def test_a_page_has_the_arguments_and_the_log_of_its_attempt(client: Client) -> None:
    log_in(client, "view_deadletter")
    died_at = factories.ago(hours=1)
    job = factories.make_job(State.DEAD, name=sample.digest.name, arguments={"region": "eu", "api_key": "hunter2"})
    dead_letter = factories.make_letter(job, died_at=died_at)
    for claim, finished_at in ((1, factories.ago(hours=2)), (2, died_at), (3, factories.ago())):
        factories.make_attempt(job, claim_number=claim, finished_at=finished_at)
        JobLog.objects.create(job=job, claim_number=claim, data=[[0, "INFO", "", f"line {claim}"]], head=1, total=1)
    page = _page(client, dead_letter)
    assert "line 2" not in page
    assert "region" not in page
    User.objects.get().user_permissions.add(Permission.objects.get(codename="view_job_arguments"))
    page = _page(client, dead_letter)
    assert "&quot;region&quot;: &quot;eu&quot;" in page
    assert "hunter2" not in page
    assert [f"line {claim}" in page for claim in (1, 2, 3)] == [False, True, False]


def test_those_of_a_batch_are_found_and_redriven(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    batch = factories.make_batch()
    inside = factories.make_letter(factories.make_batch_job(batch, State.DEAD, name="shop.inside"))
    factories.make_letter(job_name="shop.outside")
    page = _list(client, f"?batch={batch.pk}")
    assert "shop.inside" in page
    assert "shop.outside" not in page
    wrong = client.get(url("deadletter_changelist"), {"batch": "x"}, follow=True)
    assert "Batch: expected an id" in wrong.content.decode()
    start = url("deadletter_bulk_start", "redrive")
    assert "1 open dead letter matches." in client.get(f"{start}?batch={batch.pk}").content.decode()
    client.post(start, {"batch": batch.pk})
    drain()
    inside.refresh_from_db()
    assert inside.status == "redriven"
    assert DeadLetter.objects.filter(status="open").count() == 1
