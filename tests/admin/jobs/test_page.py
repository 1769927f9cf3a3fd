"""A job's page: why it is not running, timeline, values, and buttons by permission, state and race."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from django_jobs.admin.jobs.timeline import MAX_ATTEMPTS_SHOWN
from django_jobs.admin.site.times import time_text
from django_jobs.models import Job, JobLog, MessageSource
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.states import State
from tests import factories
from tests.admin.staff import log_in, url
from tests.sampleapp import chunked
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = "<script>alert(1)</script>\u202eevil\u2066 \U0001f9e8"
TRACEBACK = f"""Traceback (most recent call last):
  File "{sample.__file__}", line 73, in fail
    raise RuntimeError(message)
  File "/venv/lib/python3.11/site-packages/partner/api.py", line 9, in call
    raise Refused
RuntimeError: it broke
"""
MEGABYTE = "".join(f"line {at} <b>\n" for at in range(80_000))


def shown(client: Client, job: Job) -> str:
    page = client.get(url("job_change", job.pk))
    assert page.status_code == 200
    return page.content.decode()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State.BLOCKED, "Waiting for another job to finish."),
        (State.SCHEDULED, "Scheduled for "),
        (State.READY, "Ready, but no worker is alive."),
        (State.RUNNING, "Running since "),
    ],
)
def test_an_unfinished_job_says_why_it_is_not_running(admin_client: Client, state: State, said: str) -> None:
    if state is State.READY:
        assert said in shown(admin_client, factories.make_job(state))
    else:
        assert said in shown(admin_client, factories.make_job(state))


def test_the_timeline_is_shown_step_by_step(admin_client: Client) -> None:
    worker = factories.make_worker(hostname="web-1")
    job = factories.make_job(State.SCHEDULED, attempt=1)
    now = factories.ago(seconds=0)
    minute = timedelta(minutes=1)
    factories.make_attempt(
        job,
        worker=worker,
        ready_at=now - 3 * minute,
        started_at=now - minute,
        finished_at=now,
        error_class="builtins.RuntimeError",
        error_message="it broke",
        traceback=TRACEBACK,
    )
    page = shown(admin_client, job)
    for text in (
        "Enqueued",
        "Attempt 1",
        "failed",
        "2 min 0 s",
        "1 min 0 s",
        str(worker),
        "RuntimeError: it broke",
        "In your code:",
        f"{sample.__file__}",
        "line 73",
        '<code dir="ltr">raise RuntimeError(message)</code>',
        "Next attempt due",
    ):
        assert text in page, text
    assert page.index("In your code:") < page.index("<summary>Traceback</summary>")


def test_the_timeline_shows_a_coming_and_a_past_expiry(admin_client: Client) -> None:
    waiting = factories.make_job(State.READY, flags=JobFlag.EXPIRES)
    factories.make_expiry(waiting)
    assert "Expires" in shown(admin_client, waiting)
    dropped = factories.make_job(State.CANCELLED, flags=JobFlag.EXPIRES)
    until = factories.ago(minutes=5)
    factories.make_expiry(dropped, expires_at=until, check_at=None, expired_at=factories.ago(minutes=4))
    page = shown(admin_client, dropped)
    assert "Expired" in page
    assert "deadline to start" in page
    assert time_text(until) in page
    asked = factories.make_job(State.CANCELLED, cancel_requested_at=factories.ago(minutes=1))
    page = shown(admin_client, asked)
    assert "Expire" not in page
    assert page.index("<strong>Cancelled<") < page.index("<strong>Cancellation requested<")


def test_the_newest_attempts_are_shown_and_the_earlier_ones_linked(admin_client: Client) -> None:
    job = factories.make_job(State.SCHEDULED)
    for number in range(1, MAX_ATTEMPTS_SHOWN + 3):
        factories.make_attempt(job, number=number, claim_number=number)
    page = shown(admin_client, job)
    assert "Attempt 2<" not in page
    assert "Attempt 3<" in page
    assert f"Attempt {MAX_ATTEMPTS_SHOWN + 2}<" in page
    assert url("attempt_changelist") + f"?job__id__exact={job.pk}" in page


def test_huge_texts_are_cut_with_a_link_to_the_whole(admin_client: Client) -> None:
    job = factories.make_job(State.DEAD, arguments={"text": "y" * 100_000})
    factories.make_attempt(job, error_class="E", error_message=HOSTILE, traceback=MEGABYTE)
    page = shown(admin_client, job)
    assert len(page) < 120_000
    assert "characters left out" in page
    assert "line 79999 &lt;b&gt;" in page
    whole = admin_client.get(url("job_text", job.pk, "attempt-1"))
    assert whole.content.decode() == MEGABYTE
    assert whole["Content-Type"] == "text/plain; charset=utf-8"
    assert whole["X-Content-Type-Options"] == "nosniff"
    assert url("job_text", job.pk, "arguments") in page
    assert len(admin_client.get(url("job_text", job.pk, "arguments")).content) > 100_000


INLINE = re.compile(r"<style|<script(?![^>]* src=)(?![^>]*json)|\sstyle=|\son[a-z]+=|javascript:")


@pytest.mark.parametrize("address", ["job_change", "job_copy", "job_purge", "attempt_change"])
def test_pages_keep_a_strict_content_security_policy(admin_client: Client, address: str) -> None:
    job = factories.make_job(State.DEAD, name=sample.add.name, arguments={"first": 1}, progress_done=1)
    attempt = factories.make_attempt(job, error_class="E", traceback=TRACEBACK)
    pk = attempt.pk if address == "attempt_change" else job.pk
    page = admin_client.get(url(address, pk)).content.decode()
    own = page[page.index('id="content"') : page.index('id="footer"')]
    assert not INLINE.search(own)
    assert not INLINE.search(page[: page.index("<body")])


@pytest.mark.parametrize("what", ["attempt-2", "attempt-x", "attempt-", "odd", "attempt-99999999999999999999"])
def test_a_text_that_is_not_there_is_not_found(admin_client: Client, what: str) -> None:
    job = factories.make_job(State.DEAD)
    assert admin_client.get(url("job_text", job.pk, what)).status_code == 404
    assert admin_client.get(url("job_text", 4711, "arguments")).status_code == 404


def test_hostile_text_is_shown_and_escaped(admin_client: Client) -> None:
    job = factories.make_job(
        State.SUCCEEDED,
        name=HOSTILE,
        queue_name=HOSTILE,
        arguments={"x": HOSTILE},
        metadata={"x": HOSTILE},
        result_data=[HOSTILE],
    )
    factories.make_attempt(job, error_class=HOSTILE, error_message=HOSTILE, traceback=HOSTILE)
    for address in ("job_change", "job_copy", "job_purge"):
        page = admin_client.get(url(address, job.pk)).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
        assert "\U0001f9e8" in page


@pytest.mark.parametrize("arguments", [[1], "text", {"a": {"$type": "odd"}}])
def test_values_that_were_edited_by_hand_are_no_error(admin_client: Client, arguments: Any) -> None:
    job = factories.make_job(State.DEAD, name=sample.add.name, arguments=arguments, metadata=arguments)
    assert "Arguments" in shown(admin_client, job)
    assert admin_client.get(url("job_copy", job.pk)).status_code == 200
    assert admin_client.post(url("job_copy", job.pk), {"arguments": "{}"}).status_code == 200


def test_without_the_permission_values_and_errors_are_hidden(client: Client) -> None:
    log_in(client, "view_job")
    job = factories.make_job(State.DEAD, arguments={"n": "visible?"}, result_data="visible?")
    factories.make_attempt(job, error_class="builtins.ValueError", error_message="visible?", traceback="visible?")
    page = shown(client, job)
    assert "visible?" not in page
    assert "ValueError" in page
    assert "You do not have permission to view arguments" in page
    for what in ("arguments", "metadata", "result", "attempt-1"):
        assert client.get(url("job_text", job.pk, what)).status_code == 403


BUTTONS = [
    ("run_now", "retry_job", State.SCHEDULED, "Run now", "ready"),
    ("retry", "retry_job", State.DEAD, "Retry now", "ready"),
    ("cancel", "cancel_job", State.READY, "Cancel", "cancelled"),
    ("cancel", "cancel_job", State.SCHEDULED, "Cancel", "cancelled"),
    ("cancel", "cancel_job", State.RUNNING, "Request cancellation", "running"),
]


@pytest.mark.parametrize(("key", "permission", "state", "label", "after"), BUTTONS)
def test_a_button_needs_its_permission_and_is_logged(
    client: Client, key: str, permission: str, state: State, label: str, after: str
) -> None:
    job = factories.make_job(state)
    address = url("job_act", job.pk, key)
    user = log_in(client, "view_job", "purge_job")
    assert address not in shown(client, job)
    assert client.post(address).status_code == 403
    assert job.refresh().state == state.value
    user.delete()

    log_in(client, "view_job", permission)
    page = shown(client, job)
    assert address in page
    assert f'class="button">{label}</button>' in page
    assert client.get(address).status_code == 404
    assert client.post(address).status_code == 302
    assert job.refresh().state == after
    if state is State.RUNNING:
        assert job.cancel_requested_at is not None
    assert LogEntry.objects.get().object_id == str(job.pk)
    assert address not in shown(client, job)


def test_a_post_needs_djangos_token() -> None:
    client = Client(enforce_csrf_checks=True)
    log_in(client, "view_job", "cancel_job")
    job = factories.make_job()
    assert client.post(url("job_act", job.pk, "cancel")).status_code == 403
    assert job.refresh().state == "ready"


@pytest.mark.parametrize("address", [("job_act", "cancel"), ("job_purge",), ("job_copy",), ("job_change",)])
def test_who_may_not_see_jobs_can_do_nothing(client: Client, address: tuple[str, ...]) -> None:
    log_in(client, "cancel_job", "purge_job", "enqueue_job")
    job = factories.make_job(State.SUCCEEDED)
    target = url(address[0], job.pk, *address[1:])
    assert client.post(target).status_code == 403
    assert Job.objects.count() == 1


def test_the_page_itself_takes_no_post(admin_client: Client) -> None:
    job = factories.make_job()
    assert admin_client.post(url("job_change", job.pk), {"state": "dead"}).status_code == 403
    assert job.refresh().state == "ready"


def test_a_job_is_purged_once_that_is_confirmed(client: Client) -> None:
    job = factories.make_job(State.SUCCEEDED)
    user = log_in(client, "view_job", "cancel_job")
    assert client.get(url("job_purge", job.pk)).status_code == 403
    assert client.post(url("job_purge", job.pk)).status_code == 403
    user.delete()
    log_in(client, "view_job", "purge_job")
    assert url("job_purge", job.pk) in shown(client, job)
    assert "deleted permanently" in client.get(url("job_purge", job.pk)).content.decode()
    assert Job.objects.count() == 1
    page = client.post(url("job_purge", job.pk), follow=True).content.decode()
    assert f"Job {job.pk} purged." in page
    assert not Job.objects.exists()
    assert LogEntry.objects.get().is_deletion()


RACES = [
    ("run_now", State.READY, "is already ready to run"),
    ("run_now", State.RUNNING, "is running now; nothing was changed."),
    ("retry", State.READY, "is ready now; nothing was changed."),
    ("retry", State.RUNNING, "is running now"),
    ("cancel", State.SUCCEEDED, "is succeeded now"),
    ("cancel", State.DEAD, "is dead now"),
]


@pytest.mark.parametrize(("key", "state", "said"), RACES)
def test_an_action_on_a_job_that_has_changed_since_is_reported(
    admin_client: Client, key: str, state: State, said: str
) -> None:
    job = factories.make_job(state)
    page = admin_client.post(url("job_act", job.pk, key), follow=True).content.decode()
    assert said in page
    assert job.refresh().state == state.value
    assert not LogEntry.objects.exists()


def test_two_requests_at_once_redrive_once(admin_client: Client) -> None:
    dead_letter = factories.make_letter()
    address = url("job_act", dead_letter.job_id, "retry")
    assert "is ready to run" in admin_client.post(address, follow=True).content.decode()
    assert "is ready now" in admin_client.post(address, follow=True).content.decode()
    assert LogEntry.objects.count() == 1


def test_a_second_cancellation_request_is_reported(admin_client: Client) -> None:
    address = url("job_act", factories.make_job(State.RUNNING).pk, "cancel")
    admin_client.post(address)
    assert "was already requested" in admin_client.post(address, follow=True).content.decode()


@pytest.mark.parametrize("address", [("job_act", "retry"), ("job_act", "cancel"), ("job_purge",), ("job_copy",)])
def test_an_action_on_a_purged_job_is_reported(admin_client: Client, address: tuple[str, ...]) -> None:
    target = url(address[0], 4711, *address[1:])
    page = admin_client.post(target, follow=True)
    assert "Job 4711 no longer exists" in page.content.decode()


@pytest.mark.parametrize("pk", ["4711", "abc", "99999999999999999999"])
def test_the_page_of_a_deleted_job_leads_to_the_list(admin_client: Client, pk: str) -> None:
    page = admin_client.get(url("job_change", pk), follow=True)
    assert f"Job {pk} no longer exists" in page.content.decode()


@pytest.mark.parametrize("tries", [10, 60])
@pytest.mark.parametrize("state", list(State))
def test_a_page_takes_few_statements_at_any_size(
    admin_client: Client, state: State, tries: int, django_assert_max_num_queries: Any
) -> None:
    job = factories.make_job(state)
    for number in range(1, tries):
        factories.make_attempt(job, number=number, claim_number=number, worker=factories.make_worker())
    with django_assert_max_num_queries(20):
        shown(admin_client, job)


def test_a_dead_job_links_its_dead_letter_and_a_copy_its_original(admin_client: Client) -> None:
    dead_letter = factories.make_letter()
    assert dead_letter.job is not None
    assert url("deadletter_change", dead_letter.pk) in shown(admin_client, dead_letter.job)
    copy = factories.make_job(metadata={"copy_of": dead_letter.job_id})
    assert url("job_change", dead_letter.job_id) in shown(admin_client, copy)
    assert shown(admin_client, factories.make_job(metadata={"copy_of": "<b>"}))


def make_log(job: Job, *messages: str, claim_number: int = 1, total: int | None = None) -> JobLog:
    data = [[1.5, "WARNING", "shop", message] for message in messages]
    return JobLog.objects.create(job=job, claim_number=claim_number, data=data, head=1, total=total or len(data))


def test_each_attempt_shows_its_log_and_how_much_was_omitted(admin_client: Client) -> None:
    job = factories.make_job(State.DEAD)
    factories.make_attempt(job)
    make_log(job, HOSTILE, "the last", total=9)

    page = shown(admin_client, job)

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "7 lines omitted" in page
    assert page.index("7 lines omitted") < page.index("the last")
    assert "job.js" not in page


def test_a_running_jobs_log_is_on_its_page_and_can_be_refreshed(admin_client: Client) -> None:
    job = factories.make_job(State.RUNNING, progress_done=1, progress_total=4)
    make_log(job, HOSTILE)
    page = shown(admin_client, job)
    assert url("job_log", job.pk) in page
    assert "alert(1)" in page

    make_log(job, "of another run", claim_number=2)
    answer = admin_client.get(url("job_log", job.pk))
    assert "no-store" in answer["Cache-Control"]
    assert answer.json()["is_running"] is True
    assert "&lt;script&gt;alert(1)" in answer.json()["html"]
    assert "progress" in answer.json()["html"]
    assert "of another run" not in answer.json()["html"]

    Job.objects.update(state=State.SUCCEEDED)
    assert admin_client.get(url("job_log", job.pk)).json() == {"html": "", "is_running": False}
    assert admin_client.get(url("job_log", 10**9)).status_code == 404


def test_logs_are_for_those_who_may_see_arguments(client: Client) -> None:
    log_in(client, "view_job")
    running, dead = factories.make_job(State.RUNNING), factories.make_job(State.DEAD)
    factories.make_attempt(dead)
    for job in (running, dead):
        make_log(job, "a secret")
        assert "a secret" not in shown(client, job)
        assert client.get(url("job_log", job.pk)).status_code == 403


def test_a_job_that_is_called_in_chunks_says_so(admin_client: Client) -> None:
    assert "of up to 100, by tenant" in shown(admin_client, chunked.send.enqueue({"tenant": "a", "text": ""}))
    assert "of up to 500<" in shown(admin_client, chunked.mark.enqueue("a"))
    assert "Called in chunks" not in shown(admin_client, factories.make_job())


def test_a_job_names_the_message_that_it_came_from(admin_client: Client, client: Client) -> None:
    source = MessageSource.objects.create(broker="events", name="orders", group="shop", created_at=factories.ago())
    place = {"broker": "events", "name": "orders", "group": "shop", "partition": "3", "position": "1207"}
    job = factories.make_job(metadata={"message": {**place, "replay": True}})
    page = shown(admin_client, job)
    text = "events/orders@shop, partition 3, position 1207 (replay)"
    assert f'<a href="{url("messagesource_change", source.pk)}">{text}</a>' in page
    of_queue = {"broker": "rabbit", "name": "<b>", "id": "<i>7"}
    job = factories.make_job(metadata={"message": of_queue})
    assert "rabbit/&lt;b&gt;, id &lt;i&gt;7" in shown(admin_client, job)
    for odd in ("text", {"broker": 7}, [1], {"id": "x"}):
        assert shown(admin_client, factories.make_job(metadata={"message": odd}))
    log_in(client, "view_job")
    page = shown(client, job)
    assert "rabbit/&lt;b&gt;" in page
    assert "&lt;i&gt;7" not in page
