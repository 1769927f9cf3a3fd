"""Bulk actions on jobs: confirmed with a number, done by a job, shown, stopped; only what fits is changed."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_jobs.admin.jobs import bulk_actions
from django_jobs.models import Job
from django_jobs.policy.states import APPLICABLE_STATES, State
from django_jobs.testing import drain
from tests import factories

from ..staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

VIEW = ("view_job", "view_job_arguments")
ACTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "cancel": ("cancel_job", {}),
    "retry": ("retry_job", {"again_at": "-100"}),
    "purge": ("purge_job", {}),
    "move": ("move_job", {"to": "slow"}),
    "set_priority": ("move_job", {"priority": "7"}),
}


def _start(client: Client, key: str, query: str = "?name=sample", **data: Any) -> str:
    response = client.post(url("job_bulk_start", key) + query, {**ACTIONS[key][1], **data})
    assert response.status_code == 302, response.content.decode()
    return response["Location"]


def _run_bulk() -> None:
    Job.objects.filter(name__startswith="django_jobs.").update(queue_name="alone", priority=0)
    drain(queues=["alone"], run_scheduled=True)


def _has_changed(key: str, before: Job) -> bool:
    now = Job.objects.filter(pk=before.pk).first()
    if now is None:
        return key == "purge"
    match key:
        case "cancel":
            return now.state == State.CANCELLED != before.state or now.cancel_requested_at is not None
        case "retry":
            return (now.state, now.priority) == (State.READY, -100) != (before.state, before.priority)
        case "move":
            return now.queue_name == "slow"
        case _:
            return now.priority == 7


@pytest.mark.parametrize("key", ACTIONS)
def test_all_that_match_and_fit_are_changed_and_no_other(client: Client, key: str) -> None:
    log_in(client, *VIEW, ACTIONS[key][0])
    factories.make_queue("slow")
    jobs = [factories.make_job(state) for state in State]
    other = [factories.make_job(state, name="other") for state in State]
    fits = [job.state in APPLICABLE_STATES[key] for job in jobs]
    asked = client.get(url("job_bulk_start", key) + "?name=sample").content.decode()
    assert f"{sum(fits)} matching jobs." in asked
    assert f"{7 - sum(fits)} other job" in asked
    address = _start(client, key)
    assert not any(_has_changed(key, job) for job in jobs), "the background job does it"
    later = [factories.make_job(state) for state in State]
    _run_bulk()
    assert [_has_changed(key, job) for job in jobs] == fits
    assert not any(_has_changed(key, job) for job in [*other, *later])
    page = client.get(address).content.decode()
    assert "Job succeeded." in page
    bulk = Job.objects.get(name__startswith="django_jobs.")
    assert (bulk.progress_done, bulk.progress_total) == (sum(fits), sum(fits))
    assert bulk.arguments["by"] == "bo"
    assert "sample" in LogEntry.objects.get().change_message


@pytest.mark.parametrize("key", ACTIONS)
def test_who_may_not_sees_no_link_and_is_refused_everywhere(client: Client, key: str) -> None:
    log_in(client, *VIEW, ACTIONS[key][0])
    factories.make_queue("slow")
    factories.make_jobs(1, next(iter(APPLICABLE_STATES[key])))
    assert url("job_bulk_start", key) in client.get(url("job_changelist")).content.decode()
    address = _start(client, key)
    job = Job.objects.get(name__startswith="django_jobs.")
    other = Client()
    user = User.objects.create_user("cy", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=VIEW))
    other.force_login(user)
    assert url("job_bulk_start", key) not in other.get(url("job_changelist")).content.decode()
    for refused in (
        other.get(url("job_bulk_start", key)),
        other.post(url("job_bulk_start", key), ACTIONS[key][1]),
        other.get(address),
        other.get(url("job_bulk_now", job.pk)),
        other.post(url("job_bulk_stop", job.pk)),
    ):
        assert refused.status_code == 403
    assert job.refresh().state == "ready"


def test_the_list_offers_what_fits_the_state_of_its_filter(client: Client) -> None:
    log_in(client, *VIEW, "cancel_job", "retry_job", "purge_job", "move_job")
    for state in State:
        page = client.get(url("job_changelist"), {"state": state.value}).content.decode()
        offered = {key for key in ACTIONS if url("job_bulk_start", key) in page}
        assert offered == {key for key in ACTIONS if state in APPLICABLE_STATES[key]}


def test_no_bulk_action_touches_the_jobs_of_django_jobs(client: Client) -> None:
    log_in(client, *VIEW, "cancel_job")
    builtin = factories.make_job(State.SCHEDULED, name="django_jobs.purge_matching")
    page = client.get(url("job_bulk_start", "cancel")).content.decode()
    assert "0 matching jobs." in page
    assert "There is no filter: these are all jobs." in page
    assert client.post(url("job_bulk_start", "cancel"))["Location"] == url("job_changelist")
    job = factories.make_job()
    _start(client, "cancel", "")
    bulk = Job.objects.get(name="django_jobs.cancel_jobs_matching")
    Job.objects.filter(pk=bulk.pk).update(queue_name="alone")
    drain(queues=["alone"])
    assert (job.refresh().state, bulk.refresh().state, builtin.refresh().state) == (
        "cancelled", "succeeded", "scheduled",
    )  # fmt: skip


def test_a_sample_is_retried_first_and_then_the_rest(client: Client) -> None:
    log_in(client, *VIEW, "retry_job")
    factories.make_jobs(5, State.DEAD)
    query = "?state=dead&name=sample"
    for job in Job.objects.order_by("pk"):
        factories.make_letter(job)
    address = _start(client, "retry", query, first="2")
    _run_bulk()
    assert list(Job.objects.filter(name="sample").order_by("-pk").values_list("state", flat=True)) == [
        "ready", "ready", "dead", "dead", "dead",
    ]  # fmt: skip
    page = html.unescape(client.get(address).content.decode())
    assert "Retry: sample" in page
    assert "2 ready" in page
    rest = page.partition(url("job_bulk_start", "retry"))[2].partition('"')[0]
    factories.make_letter(factories.make_job(State.DEAD))
    assert "3 matching jobs." in client.get(url("job_bulk_start", "retry") + rest).content.decode()
    _start(client, "retry", rest)
    _run_bulk()
    assert Job.objects.filter(name="sample", state=State.DEAD).count() == 1, "one died later"


def test_a_search_in_arguments_is_neither_allowed_nor_shown_to_who_may_not_see_them(client: Client) -> None:
    log_in(client, *VIEW, "cancel_job")
    factories.make_job(arguments={"card": 4711})
    address = _start(client, "cancel", "?argument=card%3D4711")
    _run_bulk()
    assert Job.objects.get(name="sample").state == State.CANCELLED
    assert "4711" in client.get(address).content.decode()
    assert "4711" not in LogEntry.objects.get().change_message
    other = Client()
    user = User.objects.create_user("cy", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=("view_job", "cancel_job")))
    other.force_login(user)
    assert other.get(url("job_bulk_start", "cancel") + "?argument=card%3D4711").status_code == 403
    assert other.post(url("job_bulk_start", "cancel") + "?argument=card%3D4711").status_code == 403
    page = other.get(address).content.decode()
    assert "(hidden)" in page
    assert "4711" not in page
    factories.make_job(arguments={"card": 4711})
    sample = _start(client, "cancel", "?argument=card%3D4711", first="1")
    _run_bulk()
    assert "4711" in client.get(sample).content.decode()
    page = other.get(sample).content.decode()
    assert "Cancel jobs: sample" in page
    assert "4711" not in page, "nor the address of the rest"
    factories.make_job()
    own = _start(other, "cancel", "?q=samp", first="1")
    _run_bulk()
    assert "q=samp" in other.get(own).content.decode(), "a part of a name is no secret"


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("move", {"to": "nowhere"}),
        ("move", {"to": ""}),
        ("set_priority", {"priority": ""}),
        ("set_priority", {"priority": "101"}),
        ("retry", {"again_at": "-101"}),
    ],
)
def test_nonsense_is_refused_at_the_field(client: Client, key: str, data: dict[str, str]) -> None:
    log_in(client, *VIEW, ACTIONS[key][0])
    factories.make_queue("slow")
    factories.make_job(State.SCHEDULED)
    response = client.post(url("job_bulk_start", key), data)
    assert 'class="errorlist"' in response.content.decode()
    assert not Job.objects.filter(name__startswith="django_jobs.").exists()


def test_stopped_between_two_steps_the_rest_stays_as_it_was(client: Client) -> None:
    log_in(client, *VIEW, "retry_job")
    factories.make_jobs(5, State.SCHEDULED)
    _start(client, "retry", "?state=scheduled", per_second="2")
    job = Job.objects.get(name="django_jobs.retry_jobs_matching")
    Job.objects.filter(pk=job.pk).update(queue_name="alone")
    drain(queues=["alone"])
    page = client.post(url("job_bulk_stop", job.pk), follow=True).content.decode()
    assert "Stops before the next step." in page
    assert job.refresh().state == "cancelled"
    assert Job.objects.filter(name="sample", state=State.READY, priority=-100).count() == 2
    assert Job.objects.filter(name="sample", state=State.SCHEDULED, priority=0).count() == 3


def test_many_are_counted_up_to_a_bound_and_all_of_them_are_changed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(client, *VIEW, "retry_job")
    monkeypatch.setattr(bulk_actions, "MAX_COUNTED", 3)
    monkeypatch.setattr(bulk_actions, "MAX_LOOKED_AT", 6)
    factories.make_jobs(7, State.SCHEDULED)
    page = client.get(url("job_bulk_start", "retry") + "?state=scheduled").content.decode()
    assert "At least 3 matching jobs. The exact number is known at the end." in page
    assert "These times are of the counted ones only" in page
    _start(client, "retry", "?state=scheduled")
    _run_bulk()
    assert Job.objects.get(name="django_jobs.retry_jobs_matching").result == {"done": 7}


def test_a_state_to_which_the_action_never_applies_is_not_searched_through(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(client, *VIEW, "cancel_job")
    monkeypatch.setattr(bulk_actions, "MAX_COUNTED", 2)
    factories.make_jobs(5, State.SUCCEEDED)
    page = client.get(url("job_bulk_start", "cancel") + "?state=succeeded").content.decode()
    assert "0 matching jobs." in page
    assert "2 other jobs that match" in page
    assert "exact number" not in page
    assert client.post(url("job_bulk_start", "cancel") + "?state=succeeded")["Location"] == url("job_changelist")
    assert not Job.objects.filter(name__startswith="django_jobs.").exists()


@pytest.mark.parametrize(("others", "number"), [(3, "3 matching jobs."), (4, "At least 2 matching jobs.")])
def test_those_that_fit_are_looked_for_behind_others(
    client: Client, monkeypatch: pytest.MonkeyPatch, others: int, number: str
) -> None:
    log_in(client, *VIEW, "cancel_job")
    monkeypatch.setattr(bulk_actions, "MAX_COUNTED", 3)
    monkeypatch.setattr(bulk_actions, "MAX_LOOKED_AT", 6)
    fitting = factories.make_jobs(3)
    factories.make_jobs(others, State.SUCCEEDED)
    page = client.get(url("job_bulk_start", "cancel") + "?name=sample").content.decode()
    assert number in page
    assert f"{others} other jobs that match" in page
    _start(client, "cancel", "?name=sample", first="2")
    _run_bulk()
    cancelled = Job.objects.filter(state=State.CANCELLED).order_by("pk")
    assert [job.pk for job in cancelled] == [job.pk for job in fitting[1:]]


def test_the_page_that_asks_reads_a_bounded_number_of_times(client: Client) -> None:
    log_in(client, *VIEW, "retry_job")
    for queue in range(8):
        factories.make_job(State.SCHEDULED, queue_name=f"queue {queue}")
    factories.make_worker(queues=["queue 1", "queue 2"])
    with CaptureQueriesContext(connection) as asked:
        page = client.get(url("job_bulk_start", "retry") + "?state=scheduled").content.decode()
    assert "3 more queues get jobs." in page
    assert len(asked) <= 20


def test_an_address_that_is_no_bulk_job_is_not_found(client: Client) -> None:
    log_in(client, *VIEW, "cancel_job")
    assert client.get(url("job_bulk", factories.make_job().pk)).status_code == 404
    assert client.get(url("job_bulk_start", "burn")).status_code == 404
    assert client.get(url("job_bulk_stop", factories.make_job().pk)).status_code == 404
