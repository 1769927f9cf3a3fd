"""The numbers for monitoring: current, and bounded."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection  # noqa: F401 - read by the condition of a mark

from django_jobs.models import Worker
from django_jobs.policy.states import State
from django_jobs.store.stats import gauges
from django_jobs.store.stats.gauges import NO_GAUGE, QueueGauges, read_gauges
from tests.factories import ago, make_backlog, make_job, make_jobs, make_letter, make_queue, make_worker
from tests.plans import fill_tables, whole_table_reads

pytestmark = pytest.mark.django_db

MAX_STATEMENTS = 9


def _queues(**options: Any) -> dict[str, QueueGauges]:
    return {queue.name: queue for queue in read_gauges(**options).queues}


def test_every_queue_has_its_numbers(django_assert_max_num_queries: Any) -> None:
    make_jobs(3, queue_name="mail", ready_at=ago(seconds=90))
    make_job(queue_name="mail", ready_at=ago(hours=2), priority=5)
    make_job(State.RUNNING, queue_name="mail", worker=make_worker())
    make_job(State.SCHEDULED, queue_name="reports", run_after=ago(hours=-1))
    make_job(State.SUCCEEDED, queue_name="done")
    make_job(queue_name="stopped", ready_at=ago(seconds=30))
    make_queue("stopped", paused_at=ago(minutes=1))
    make_letter(make_job(State.DEAD, queue_name="mail"))
    make_letter(make_job(State.DEAD, queue_name="mail"), status="resolved")

    with django_assert_max_num_queries(MAX_STATEMENTS):
        found = _queues()
    assert found.keys() == {"mail", "reports", "stopped"}
    mail, stopped = found["mail"], found["stopped"]
    assert (mail.ready, mail.running, mail.scheduled, mail.dead_letters, mail.is_paused) == (4, 1, 0, 1, False)
    assert 7200 <= mail.oldest_ready_seconds < 7200 + 600
    assert found["reports"] == NO_GAUGE._replace(name="reports", scheduled=1)
    assert (stopped.ready, stopped.is_paused, stopped.oldest_ready_seconds >= 30) == (1, True, True)


def test_named_queues_are_read_whether_they_exist_or_not() -> None:
    make_jobs(2, queue_name="mail")
    make_jobs(2, queue_name="other")
    found = _queues(names=["mail", "nobody's"])
    assert found.keys() == {"mail", "nobody's"}
    assert (found["mail"].ready, found["nobody's"]) == (2, NO_GAUGE._replace(name="nobody's"))


def test_counts_stop_and_the_last_sample_tells_more(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(gauges, "MAX_COUNTED", 3)
    make_jobs(6, queue_name="long")
    make_jobs(5, queue_name="unsampled")
    make_jobs(5, State.SCHEDULED, queue_name="later", run_after=ago(hours=-1))
    for _ in range(5):
        make_letter(make_job(State.DEAD, queue_name="later"))
    make_backlog({"long": [4, 900]})
    with django_assert_max_num_queries(MAX_STATEMENTS):
        found = _queues()
    assert (found["long"].ready, found["unsampled"].ready) == (900, 3)
    assert (found["later"].scheduled, found["later"].dead_letters) == (3, 3)


def test_queues_beyond_the_limit_are_counted() -> None:
    for number in range(5):
        make_job(queue_name=f"tenant-{number}")
    read = read_gauges(max_queues=3)
    assert ([queue.name for queue in read.queues], read.queues_left_out) == (["tenant-0", "tenant-1", "tenant-2"], 2)


def test_living_workers_and_their_threads() -> None:
    activity = {"threads": 3, "async_runs": 7, "async_capacity": 100, "claimed": 12, "runs": []}
    make_worker(concurrency=4, activity=activity)
    make_worker(concurrency=2, activity={**activity, "threads": 1}, state=Worker.State.STOPPING)
    make_worker(concurrency=2, activity=None)
    make_worker(concurrency=8, activity=activity, heartbeat_at=ago(hours=1))
    make_worker(concurrency=8, activity=activity, state=Worker.State.STOPPED)
    read = read_gauges()
    assert (read.workers, read.busy, read.idle) == (3, 4, 3)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="reads plans of PostgreSQL")
@pytest.mark.django_db(transaction=True)
def test_no_statement_reads_a_whole_table() -> None:
    fill_tables()
    assert whole_table_reads(read_gauges) == []
    assert whole_table_reads(lambda: read_gauges(names=["queue1"])) == []
