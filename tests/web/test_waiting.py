"""Waiting clients: long polls, the poller for all of them, and what is not held meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections
from django.test import Client, override_settings

from django_jobs.conf import SETTING
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.store.status import read_statuses
from django_jobs.web import status_url
from django_jobs.web.status_poller import StatusWaiter, poller
from tests.concurrency import wait_until
from tests.factories import make_job, make_jobs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick")]


def _change(job: Job, **fields: Any) -> None:
    Job.objects.filter(pk=job.pk).update(**fields)


def _waiting(client: Client, *args: Any, connections_of: list[Any] | None = None, **kwargs: Any) -> Future[Any]:
    """Send a request from a thread of its own and return once it waits; the view runs in that thread, too."""
    result: Future[Any] = Future()

    def send() -> None:
        if connections_of is not None:
            connections_of.append(connections["default"])
        try:
            result.set_result(client.get(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - raised again where the answer is read
            result.set_exception(error)
        finally:
            connections.close_all()

    before = len(poller._waiters)
    threading.Thread(target=send, daemon=True).start()
    wait_until(lambda: len(poller._waiters) > before or result.done(), "the client to wait")
    return result


def test_a_long_poll_is_answered_when_the_job_ends(client: Client) -> None:
    job = make_job(State.RUNNING)
    answer = _waiting(client, f"{status_url(job)}?wait=30")
    _change(job, progress_done=1, progress_total=2)
    _change(job, state=State.SUCCEEDED)
    assert answer.result(20).json()["state"] == "succeeded"


def test_a_long_poll_with_a_known_version_is_answered_at_any_change(client: Client) -> None:
    job = make_job(State.RUNNING)
    where = status_url(job)
    known = client.get(where)["ETag"]
    answer = _waiting(client, f"{where}?wait=30", headers={"if-none-match": known})
    _change(job, progress_done=1, progress_total=2)
    response = answer.result(20)
    assert response.status_code == 200
    assert response.json()["progress"]["done"] == 1
    assert response["ETag"] != known


def test_a_long_poll_with_an_old_version_is_answered_at_once(client: Client) -> None:
    where = status_url(make_job(State.RUNNING))
    response = client.get(f"{where}?wait=30", headers={"if-none-match": '"an older one"'})
    assert response.json()["state"] == "running"


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.DEAD, State.CANCELLED])
def test_a_job_that_has_ended_is_not_waited_for(client: Client, state: State) -> None:
    where = status_url(make_job(state))
    first = client.get(f"{where}?wait=30")
    assert first.json()["state"] == state.value
    again = client.get(f"{where}?wait=30", headers={"if-none-match": first["ETag"]})
    assert again.status_code == 304


def test_an_expired_wait_answers_the_current_status(client: Client) -> None:
    where = status_url(make_job(State.RUNNING))
    began = time.monotonic()
    first = client.get(f"{where}?wait=0.2")
    assert first.json()["state"] == "running"
    again = client.get(f"{where}?wait=0.2", headers={"if-none-match": first["ETag"]})
    assert again.status_code == 304
    assert time.monotonic() - began >= 0.4


def test_a_job_purged_during_the_wait_is_404(client: Client) -> None:
    job = make_job(State.RUNNING)
    answer = _waiting(client, f"{status_url(job)}?wait=30")
    Job.objects.filter(pk=job.pk)._raw_delete("default")
    response = answer.result(20)
    assert response.status_code == 404
    assert response.json()["type"].endswith(":job-gone")


def test_no_connection_and_no_transaction_is_held_while_a_client_waits(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(State.RUNNING)
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    threads: list[Any] = []
    answer = _waiting(client, f"{status_url(job)}?wait=30", connections_of=threads)
    (own,) = threads
    wait_until(lambda: own.connection is None, "the request to close its connection")
    assert not own.in_atomic_block
    _change(job, state=State.SUCCEEDED)
    assert answer.result(20).status_code == 200


def test_clients_beyond_the_maximum_are_answered_at_once(client: Client) -> None:
    job = make_job(State.RUNNING)
    where = f"{status_url(job)}?wait=30"
    options = {"STATUS": {"POLL_INTERVAL": 0.02, "MAX_WAITERS_WSGI": 1}}
    with override_settings(**{SETTING: options}):
        first = _waiting(client, where)
        second = Client().get(where)
        assert (second.status_code, second.json()["state"]) == (200, "running")
        assert not first.done()
        _change(job, state=State.SUCCEEDED)
        assert first.result(20).json()["state"] == "succeeded"


def test_any_number_of_clients_costs_one_statement_an_interval() -> None:
    jobs = make_jobs(20, State.RUNNING)
    statuses = list(read_statuses([job.pk for job in jobs]).values())

    async def wait_all() -> float:
        waiters = [StatusWaiter(status, holds_thread=False) for status in statuses for _ in range(10)]
        assert all(poller.join(waiter) for waiter in waiters)
        before, began = poller.poll_count, time.monotonic()
        await asyncio.to_thread(wait_until, lambda: poller.poll_count >= before + 5)
        took = time.monotonic() - began
        for waiter in waiters:
            poller.leave(waiter)
        return took

    # Five polls take at least five intervals, however many clients wait.
    assert async_to_sync(wait_all)() >= 4 * 0.02


def test_without_waiting_clients_nothing_is_polled(client: Client) -> None:
    client.get(f"{status_url(make_job(State.RUNNING))}?wait=0.1")
    # The thread closes its connection before it is gone, some time after the poller has forgotten it.
    wait_until(
        lambda: all(thread.name != "django_jobs-status-poller" for thread in threading.enumerate()),
        "the poller to end",
    )
    assert poller._threads == {}


def test_the_poller_survives_an_outage(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    job = make_job(State.RUNNING)
    answer = _waiting(client, f"{status_url(job)}?wait=30")
    table = Job._meta.db_table
    _rename(table, f"{table}_away")
    try:
        wait_until(lambda: "cannot poll jobs" in caplog.text, "the poller to fail")
    finally:
        _rename(f"{table}_away", table)
    _change(job, state=State.SUCCEEDED)
    assert answer.result(20).json()["state"] == "succeeded"


def _rename(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


def test_many_threads_can_wait_for_one_job(client: Client) -> None:
    job = make_job(State.RUNNING)
    where = f"{status_url(job)}?wait=30"
    answers = [_waiting(Client(), where) for _ in range(4)]
    _change(job, state=State.CANCELLED)
    assert {answer.result(20).json()["state"] for answer in answers} == {"cancelled"}
