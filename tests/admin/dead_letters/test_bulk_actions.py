"""Bulk actions on dead letters: confirmed with a number, done by a job, shown, stopped; a sample first, then all."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils.translation import override

from django_jobs.models import DeadLetter, Job, Rollup
from django_jobs.policy.histogram import bucket_of
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


def test_redriven_at_its_defaults_dead_letters_wait_behind_live_jobs_of_all_queues(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    high = factories.make_job(State.DEAD, priority=50)
    factories.make_letter(high, fingerprint=PRINT)
    _letters(3)
    page = client.get(url("deadletter_bulk_start", "redrive") + f"?fingerprint={PRINT}")
    defaults = {field.name: field.value() for field in page.context["form_fields"] if field.value() is not None}
    assert defaults == {"again_at": -100}
    _start(client, "redrive", **defaults)
    _run_bulk()
    lanes = [("default", 0), ("default", -99), ("mail", 0), ("mail", -99)]
    later = [factories.make_job(queue_name=queue, priority=priority) for queue, priority in lanes]
    claims = factories.take(factories.make_worker())
    assert {claim.job_id for claim in claims[:4]} == {job.pk for job in later}
    assert {(claim.name, claim.priority) for claim in claims[4:]} == {("sample", -100)}
    assert len(claims) == 8
    assert high.refresh().priority == -100


def test_without_a_priority_each_keeps_its_own(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    job = factories.make_job(State.DEAD, priority=50)
    factories.make_letter(job, fingerprint=PRINT)
    _start(client, "redrive", again_at="")
    _run_bulk()
    assert (job.refresh().state, job.priority) == ("ready", 50)


def test_above_a_thousand_a_sample_is_proposed_and_the_queues_are_foretold(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter", "resolve_deadletter")
    _letters(1, queue_name="slow")
    letter = DeadLetter.objects.get()
    names = [field.attname for field in DeadLetter._meta.concrete_fields if not field.primary_key]
    values = {name: getattr(letter, name) for name in names}
    DeadLetter.objects.bulk_create(DeadLetter(**values) for _ in range(1_000))
    factories.make_job(queue_name="slow")
    page = client.get(url("deadletter_bulk_start", "redrive")).content.decode()
    assert 'name="first" value="10"' in page
    assert "try the newest few first" in page
    assert "Queue slow: 1 waiting, no worker. No worker serves it" in page
    factories.make_worker(queues=["slow"], concurrency=4)
    page = client.get(url("deadletter_bulk_start", "redrive")).content.decode()
    assert "None of its jobs has ended in the last hour" in page
    runs = {str(bucket_of(3.6)): 2_000}
    Rollup.objects.create(span_seconds=600, starts_at=factories.ago(minutes=20), queue_name="slow", runs=runs)
    page = client.get(url("deadletter_bulk_start", "redrive")).content.decode()
    assert re.search(
        r"These 1,001 take about 2[0-9] min .* s: a run takes 3\.[0-9] s on average, and live work", page
    ), page
    assert "Queue slow: 1 waiting, not known yet. " in page
    factories.make_backlog({"slow": [500 - 20 * at for at in range(10)]})
    page = client.get(url("deadletter_bulk_start", "redrive")).content.decode()
    assert re.search(
        r"Queue slow: 1 waiting, empty at [^<]*?[0-9:]{5}\. These 1,001 take about 50 min .* behind", page
    ), page
    factories.make_backlog({"slow": [500 + 20 * at for at in range(10)]})
    page = client.get(url("deadletter_bulk_start", "redrive")).content.decode()
    assert "Queue slow: 1 waiting, growing by 20 a minute. Nobody can tell how long these take" in page
    factories.make_queue("slow", paused_at=factories.ago(minutes=5))
    page = client.get(url("deadletter_bulk_start", "redrive")).content.decode()
    assert "Queue slow: 1 waiting, paused. It is paused: all of them wait until it is resumed." in page
    assert 'name="first" value="10"' not in client.get(url("deadletter_bulk_start", "resolve")).content.decode()
    rest = f"?up_to_id={DeadLetter.objects.latest('pk').pk}"
    assert 'name="first" value="10"' not in client.get(url("deadletter_bulk_start", "redrive") + rest).content.decode()


@pytest.mark.parametrize("up_to_id", ["x", "-1", "9" * 19, "٣"])
def test_a_bound_that_is_not_an_id_is_reported(client: Client, up_to_id: str) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    _letters(1)
    page = client.get(url("deadletter_bulk_start", "redrive"), {"up_to_id": up_to_id}, follow=True)
    assert "Up_to_id: expected an id, got" in page.content.decode()


def test_a_list_offers_bulk_actions_only_if_they_mean_its_rows(client: Client) -> None:
    """A bulk action has no search by text, and changes open dead letters only."""
    log_in(client, *VIEW, *VERBS.values())
    _letters(1)
    for query, is_offered in (
        ({}, True), ({"status": "open"}, True), ({"status": "all"}, True), ({"status": "resolved"}, False),
        ({"q": "sample"}, False), ({"q": " "}, True),
    ):  # fmt: skip
        page = client.get(url("deadletter_changelist"), query).content.decode()
        for verb in VERBS:
            assert (url("deadletter_bulk_start", verb) in page) is is_offered, query


def test_a_filter_that_a_user_may_not_use_is_refused_and_not_left_out(client: Client) -> None:
    """Without it the action would change more than the address says."""
    log_in(client, "view_deadletter", *VERBS.values())
    _letters(1)
    for verb in VERBS:
        address = url("deadletter_bulk_start", verb)
        assert client.get(address, {"error": "4711"}).status_code == 403
        assert client.post(address, {"error": "4711"}).status_code == 403
        assert client.get(address).status_code == 200
    assert client.get(url("deadletter_changelist"), {"error": "4711"}).status_code == 200


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
