"""What jobs log is kept per attempt: from threads, job processes and the event loop, and when a worker is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_jobs.models import Job, JobLog
from tests.concurrency import wait_until
from tests.misbehaving import jobs as misbehaving
from tests.process.conftest import StartWorker
from tests.process.running import ended, outcomes, wait_for_start

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

QUICK = {"HEARTBEAT_INTERVAL": 0.2, "STALE_AFTER": 1}
POOLS = pytest.mark.parametrize("pool", ["threads", "processes"])


def said(log: JobLog | None) -> list[tuple[str, str]]:
    return [] if log is None else [(line.logger, line.message) for line in log.lines]


@POOLS
def test_each_attempt_keeps_its_own_log(start_worker: StartWorker, pool: str) -> None:
    job = misbehaving.talk.enqueue(2)
    quiet = misbehaving.say_nothing.enqueue()
    loop = misbehaving.talk_async.enqueue()
    atomic = misbehaving.talk_atomic.enqueue()

    worker = start_worker("--pool", pool)
    assert ended(job, quiet, loop, atomic) == ["succeeded"] * 4, worker.output

    first, second = job.attempts
    for attempt in (first, second):
        *written, unformatted, direct = said(attempt.log)
        assert written == [("shop.talk", "line 0"), ("shop.talk", "line 1")]
        assert unformatted[1].startswith("%d of them (TypeError")
        assert direct == ("", "said NUL \\x00 and \\ud800")
    assert second.log is not None
    assert second.log.lines[-1].level == "DEBUG"
    assert said(job.log) == said(second.log)
    assert said(loop.log) == [("shop.talk", "from the loop"), ("shop.talk", "from a thread")]
    assert said(atomic.log) == [("", "inside")]
    assert quiet.log is None
    assert worker.stop() == 0, worker.output
    assert any("line 0" in line for line in worker.lines), "Python's last resort hears of it as before"


@POOLS
def test_the_log_of_an_atomic_job_that_failed_outlives_the_rollback(start_worker: StartWorker, pool: str) -> None:
    job = misbehaving.fail_atomic_with_a_log.enqueue()
    worker = start_worker("--pool", pool)
    assert ended(job) == ["dead"], worker.output

    ((_, message),) = said(job.refresh().log)
    assert message.startswith("before the end\nTraceback")
    assert message.endswith("ZeroDivisionError: by nobody")


@POOLS
def test_what_was_saved_of_a_killed_run_stays(start_worker: StartWorker, pool: str, tmp_path: Path) -> None:
    job = misbehaving.talk_and_wait.enqueue(str(tmp_path / "go"))
    worker = start_worker("--pool", pool, **QUICK)
    wait_for_start(tmp_path / "go")
    wait_until(lambda: said(job.refresh().log) == [("", "first"), ("", "second")], "both lines to be saved")

    worker.kill()
    (tmp_path / "go").touch()
    start_worker("--pool", pool, **QUICK)
    assert ended(job) == ["succeeded"]

    assert outcomes(job) == ["lost", "succeeded"]
    assert [said(one.log) for one in job.attempts] == [[("", "first"), ("", "second")]] * 2


def test_head_and_tail_are_kept_of_many_lines(start_worker: StartWorker) -> None:
    job = misbehaving.talk.enqueue(1000)
    worker = start_worker("--burst", settings={"LOGS": {"MAX_LINES": 10}})
    assert worker.wait() == 0, worker.output

    log = job.refresh().log or job.attempts[0].log
    assert log is not None
    assert (len(log.lines), log.head, log.omitted) == (10, 5, 992)
    assert [line.message for line in log.first] == [f"line {at}" for at in range(5)]


def test_nothing_is_kept_where_that_is_switched_off(start_worker: StartWorker) -> None:
    misbehaving.talk_async.enqueue()
    worker = start_worker("--burst", settings={"LOGS": {"MAX_LINES": 0}})
    assert worker.wait() == 0, worker.output
    assert not JobLog.objects.exists()
    assert Job.objects.get().state == "succeeded"
