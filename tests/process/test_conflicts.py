"""The server undoes a worker's transaction in favour of another: it is done again, and is no outage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from django_jobs.models import Job, Worker
from tests.concurrency import Background
from tests.databases import chosen_vendor
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import RunningWorker, ended, outcomes, wait_for_start, wait_until

pytestmark = pytest.mark.skipif(
    chosen_vendor() == "sqlite", reason="SQLite has one writer at a time, and no deadlocks"
)
ON_POSTGRESQL = pytest.mark.skipif(
    chosen_vendor() != "postgresql", reason="elsewhere no claim ever waits for a lock that another may hold"
)
UNDONE = "the {} met another transaction and was undone; trying again: .*[Dd]eadlock"

WAITING = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx JOIN information_schema.processlist"
    " ON id = trx_mysql_thread_id WHERE trx_state = 'LOCK WAIT' AND db = database()",
}
LOCK = "SELECT id FROM django_jobs_job WHERE id = %s FOR UPDATE"


class Session:
    """A transaction of the test's own that the server spares: it is never a deadlock's victim."""

    def __init__(self, wrapper: BaseDatabaseWrapper) -> None:
        self._wrapper = wrapper
        wrapper.ensure_connection()
        if wrapper.vendor == "postgresql":
            self.execute("SET deadlock_timeout = '1h'")  # who looks first finds itself the victim
        wrapper.set_autocommit(False)
        if wrapper.vendor == "mysql":
            # InnoDB undoes the transaction that has done less.
            names = ", ".join(["('ballast', 0)"] * 200)
            self.execute(f"INSERT INTO sampleapp_customer (name, visits) VALUES {names}")

    def execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self._wrapper.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []

    def rollback(self) -> None:
        self._wrapper.rollback()


@contextmanager
def _session() -> Iterator[Session]:
    wrapper = connection.copy()
    wrapper.inc_thread_sharing()
    try:
        yield Session(wrapper)
    finally:
        wrapper.close()
        wrapper.dec_thread_sharing()


def _wait_until_blocked() -> None:
    def is_blocked() -> bool:
        with connection.cursor() as cursor:
            if connection.vendor == "mysql":
                cursor.execute(
                    "SELECT sleep(0.15)"
                )  # its list is a copy, renewed once nobody read it for 0.1 s
            cursor.execute(WAITING[connection.vendor])
            return bool(cursor.fetchone()[0])

    wait_until(is_blocked, "the worker to wait for a lock")


def _is_free(job: Job) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"{LOCK} SKIP LOCKED", [job.pk])
        return cursor.fetchone() is not None


def _check_calm(worker: RunningWorker) -> None:
    assert worker.stop() == 0
    assert "the database failed" not in worker.output, worker.output
    assert "was lost" not in worker.output, worker.output


@pytest.fixture
def patient_environment(worker_environment: dict[str, str]) -> None:
    """Leave the test time to close the ring: PostgreSQL looks for a deadlock once, so long after a wait began."""
    worker_environment["PGOPTIONS"] = "-c deadlock_timeout=4s"


@pytest.mark.usefixtures("patient_environment")
def test_a_finish_that_was_a_deadlocks_victim_is_saved_once(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    """One job's row holds the finisher up until two others wait for it; those it meets in the opposite order."""
    gate, after = str(tmp_path / "gate"), str(tmp_path / "after")
    first = misbehaving.wait_for_file.enqueue(gate)
    left, right = sample.echo.enqueue("left"), sample.echo.enqueue("right")
    last = misbehaving.wait_for_file.enqueue(after)
    worker = start_worker("--concurrency", "1", HEARTBEAT_INTERVAL=0.2, STALE_AFTER=600)
    wait_for_start(Path(gate))

    with _session() as keeper, _session() as other, _session() as third:
        keeper.execute(LOCK, first.pk)
        Path(gate).touch()
        _wait_until_blocked()
        wait_for_start(Path(after))  # by the one thread: left and right have returned
        other.execute(LOCK, right.pk)
        keeper.rollback()
        assert ended(first) == ["succeeded"]
        _wait_until_blocked()
        if _is_free(left):
            # It locks the right one first: turn round.
            third.execute(LOCK, left.pk)
            other.rollback()
            wait_until(lambda: not _is_free(right), "the worker to hold the right one")
            closing = Background(lambda: third.execute(LOCK, right.pk))
        else:
            closing = Background(lambda: other.execute(LOCK, left.pk))
        assert len(closing.result()) == 1, "the worker was undone and let it go"
        worker.wait_for_line(UNDONE.format("finisher"))

    Path(after).touch()
    assert ended(left, right, last) == ["succeeded"] * 3
    assert (left.refresh().result, right.refresh().result) == ("left", "right")
    assert [outcomes(job) for job in (first, left, right, last)] == [["succeeded"]] * 4
    _check_calm(worker)


@ON_POSTGRESQL
@pytest.mark.usefixtures("patient_environment")
def test_a_claim_that_was_a_deadlocks_victim_is_made_again(start_worker: StartWorker) -> None:
    """Another session locks tables in the opposite order, as a migration may."""
    worker = start_worker("--concurrency", "1", HEARTBEAT_INTERVAL=600, STALE_AFTER=6000, POLL_INTERVAL=0.1)
    wait_until(lambda: Worker.objects.filter(state="running").exists(), "the worker to register")

    with _session() as other:
        other.execute("LOCK TABLE django_jobs_queue IN ACCESS EXCLUSIVE MODE")
        job = sample.echo.enqueue("claimed")
        _wait_until_blocked()
        other.execute("LOCK TABLE django_jobs_job IN ACCESS EXCLUSIVE MODE")
        worker.wait_for_line(UNDONE.format("claimer"))

    assert (ended(job), outcomes(job)) == (["succeeded"], ["succeeded"])
    _check_calm(worker)


@ON_POSTGRESQL
def test_an_atomic_job_that_could_not_be_serialized_runs_again_and_counts_once(
    start_worker: StartWorker, worker_environment: dict[str, str], tmp_path: Path
) -> None:
    """The project's own isolation level holds for jobs; the worker's statements have theirs."""
    worker_environment["PGOPTIONS"] = r"-c default_transaction_isolation=repeatable\ read"
    customer = Customer.objects.create(name="Ada")
    worker = start_worker("--concurrency", "2", JOB_DEFAULTS={"backoff": [0.1]})
    job = misbehaving.visit_late.enqueue(customer.pk, str(tmp_path / "go"))
    wait_for_start(tmp_path / "go")
    Customer.objects.filter(pk=customer.pk).update(visits=10)
    (tmp_path / "go").touch()
    jobs = sample.count_visit_once.using(max_attempts=50).enqueue_many([(customer.pk,)] * 30)

    assert set(ended(job, *jobs)) == {"succeeded"}
    assert outcomes(job)[0] == "failed"
    assert "could not serialize access" in job.attempts.order_by("claim_number")[0].error_message
    assert Customer.objects.get().visits == 10 + 1 + 30
    _check_calm(worker)
