"""Bulk actions on dead letters: confirmed with a number, done by a job, shown, stopped; a sample first, then all."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils.translation import override

from django_jobs.models import DeadLetter, Job
from django_jobs.policy.states import State
from django_jobs.testing import drain
from tests import factories

from ..staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

VIEW = ("view_deadletter", "view_job_arguments", "view_job")
VERBS = {"redrive": "redrive_deadletter", "resolve": "resolve_deadletter", "purge": "purge_deadletter"}
PRINT = "a" * 32


def _letters(number: int, **fields: Any) -> None:
    for _ in range(number):
        factories.make_letter(**{"fingerprint": PRINT, **fields})


def _start(client: Client, verb: str, query: str = f"?fingerprint={PRINT}", **data: Any) -> str:
    address = url("deadletter_bulk_start", verb) + query
    given = dict(pair.split("=") for pair in query.lstrip("?").split("&") if pair)
    response = client.post(address, {**given, **data})
    assert response.status_code == 302, response.content.decode()
    return response["Location"]


def _run_bulk() -> None:
    Job.objects.filter(name__startswith="django_jobs.").update(queue_name="alone")
    drain(queues=["alone"], run_scheduled=True)


@pytest.mark.parametrize("verb", VERBS)
def test_a_bulk_action_confirms_the_number_and_its_job_applies_it(client: Client, verb: str) -> None:
    log_in(client, *VIEW, VERBS[verb])
    _letters(3)
    factories.make_letter(fingerprint="b" * 32)
    asked = client.get(url("deadletter_bulk_start", verb) + f"?fingerprint={PRINT}").content.decode()
    assert "3 open dead letters match." in asked
    address = _start(client, verb)
    assert DeadLetter.objects.filter(status="open").count() == 4
    _run_bulk()
    assert list(DeadLetter.objects.filter(status="open").values_list("fingerprint", flat=True)) == ["b" * 32]
    page = client.get(address).content.decode()
    assert "Job succeeded." in page
    assert set(DeadLetter.objects.exclude(status="open").values_list("resolved_by", flat=True)) == {"bo"}
    assert "3" in LogEntry.objects.get().change_message


@pytest.mark.parametrize("verb", VERBS)
def test_who_may_not_sees_no_link_and_is_refused_everywhere(client: Client, verb: str) -> None:
    log_in(client, *VIEW, VERBS[verb])
    _letters(1)
    address = _start(client, verb)
    job = Job.objects.get(name__startswith="django_jobs.")
    other = Client()
    log_in_as_other(other, *VIEW)
    assert url("deadletter_bulk_start", verb) not in other.get(url("deadletter_changelist")).content.decode()
    assert other.get(url("deadletter_bulk_start", verb)).status_code == 403
    assert other.post(url("deadletter_bulk_start", verb)).status_code == 403
    assert other.get(address).status_code == 403
    assert other.get(url("deadletter_bulk_now", job.pk)).status_code == 403
    assert other.post(url("deadletter_bulk_stop", job.pk)).status_code == 403
    assert job.refresh().state == "ready"


def log_in_as_other(client: Client, *permissions: str) -> None:
    from django.contrib.auth.models import Permission, User

    user = User.objects.create_user("cy", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)


def test_a_sample_is_redriven_first_and_then_the_rest(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    _letters(5)
    address = _start(client, "redrive", first="2")
    _run_bulk()
    newest = list(DeadLetter.objects.order_by("-pk").values_list("status", flat=True))
    assert newest == ["redriven", "redriven", "open", "open", "open"]
    page = client.get(address).content.decode()
    assert "Redrive: sample" in page
    assert "Sample" in page
    assert page.count("sample #") == 2
    assert "2 ready" in page
    bulk = Job.objects.get(name="django_jobs.redrive_matching")
    Job.objects.filter(dead_letters=DeadLetter.objects.filter(status="redriven").latest("pk")).update(state=State.DEAD)
    few = json.loads(client.get(url("deadletter_bulk_now", bulk.pk)).content)["sample"]
    assert (few["text"], few["is_final"]) == ("1 ready, 1 dead", False)
    assert [row["state"] for row in few["jobs"]] == ["dead", "ready"]
    rest = html.unescape(page).partition(url("deadletter_bulk_start", "redrive"))[2].partition('"')[0]
    died_again = factories.make_letter(fingerprint=PRINT).pk
    asked = client.get(url("deadletter_bulk_start", "redrive") + rest).content.decode()
    assert "3 open dead letters match." in asked
    assert "Dead letters that came after the sample was chosen are left out" in asked
    _start(client, "redrive", rest)
    _run_bulk()
    assert list(DeadLetter.objects.filter(status="open").values_list("pk", flat=True)) == [died_again]


@pytest.mark.parametrize("up_to_id", ["x", "-1", "9" * 19, "٣"])
def test_a_bound_that_is_not_an_id_is_reported(client: Client, up_to_id: str) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    _letters(1)
    page = client.get(url("deadletter_bulk_start", "redrive"), {"up_to_id": up_to_id}, follow=True)
    assert "Up_to_id: expected an id, got" in page.content.decode()


def test_the_highest_bound_is_none(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    _letters(2)
    query = f"?up_to_id={2**63 - 1}"
    assert "2 open dead letters match." in client.get(url("deadletter_bulk_start", "redrive") + query).content.decode()
    _start(client, "redrive", query, first="1")
    _start(client, "redrive", query)
    _run_bulk()
    assert not DeadLetter.objects.filter(status="open").exists()


def test_an_invalid_filter_is_reported_in_the_users_language(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    for query, expected in (
        (
            {"since": "soon"},
            "Since: erwartet wird ein Zeitpunkt wie 2026-03-01T09:30, angegeben ist &#x27;soon&#x27;",
        ),
        ({"up_to_id": "x"}, "Up_to_id: erwartet wird eine ID, angegeben ist &#x27;x&#x27;"),
    ):
        with override("de"):
            page = client.get(url("deadletter_changelist"), query, follow=True)
        assert expected in page.content.decode()


def test_at_a_rate_it_goes_in_steps_and_can_be_stopped(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    _letters(5)
    _start(client, "redrive", per_second="2")
    job = Job.objects.get(name="django_jobs.redrive_matching")
    Job.objects.filter(pk=job.pk).update(queue_name="alone")
    drain(queues=["alone"])
    status = json.loads(client.get(url("deadletter_bulk_now", job.pk)).content)
    assert (status["done"], status["total"], status["is_final"]) == (2, 5, False)
    page = client.post(url("deadletter_bulk_stop", job.pk), follow=True).content.decode()
    assert "Stops before the next step." in page
    assert job.refresh().state == "cancelled"
    assert DeadLetter.objects.filter(status="open").count() == 3
    page = client.post(url("deadletter_bulk_stop", job.pk), follow=True).content.decode()
    assert "Nothing was changed: it has finished" in page


def test_it_may_begin_later(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    _letters(1)
    address = _start(client, "redrive", delay="30")
    job = Job.objects.get(name="django_jobs.redrive_matching")
    assert job.run_after is not None
    assert 29 * 60 < (job.run_after - job.enqueued_at).total_seconds() <= 30 * 60
    assert "Scheduled for" in client.get(address).content.decode()


def test_the_page_of_a_waiting_bulk_job_says_why_it_waits(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    _letters(1)
    address = _start(client, "redrive")
    assert "no worker is alive" in client.get(address).content.decode()


@pytest.mark.parametrize("data", [{"first": "0"}, {"first": "many"}, {"per_second": "-1"}, {"first": "1001"}])
def test_nonsense_is_refused_at_the_field(client: Client, data: dict[str, str]) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    _letters(1)
    response = client.post(url("deadletter_bulk_start", "redrive"), data)
    assert response.status_code == 200
    assert 'class="errorlist"' in response.content.decode()
    assert not Job.objects.filter(name__startswith="django_jobs.").exists()


def test_where_nothing_matches_any_more_no_job_is_made(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    assert _start(client, "redrive") == url("deadletter_changelist")
    assert not Job.objects.exists()


def test_an_address_that_is_no_bulk_job_is_not_found(client: Client) -> None:
    log_in(client, *VIEW, *VERBS.values())
    other = factories.make_job(State.READY)
    assert client.get(url("deadletter_bulk", other.pk)).status_code == 404
    assert client.get(url("deadletter_bulk_start", "burn")).status_code == 404


def test_dead_letters_are_exported_with_formulas_escaped(client: Client) -> None:
    log_in(client, *VIEW)
    factories.make_letter(error_message="=cmd|' /C calc'!A0", fingerprint=PRINT)
    factories.make_letter(fingerprint="b" * 32)
    response = client.get(url("deadletter_export", "csv") + f"?fingerprint={PRINT}")
    text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    assert text.startswith("id,job_id,job_name")
    assert "'=cmd|' /C calc'!A0" in text
    assert len(text.strip().splitlines()) == 2
    response = client.get(url("deadletter_export", "json"))
    rows = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]  # type: ignore[attr-defined]
    assert [row["fingerprint"] for row in rows] == [PRINT, "b" * 32]
    assert client.get(url("deadletter_export", "xml")).status_code == 404
