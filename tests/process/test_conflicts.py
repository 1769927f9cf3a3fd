"""The server undoes a worker's transaction in favour of another: it is done again, and is no outage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.db import connection

from tests.concurrency import Background, wait_until
from tests.databases import chosen_vendor
from tests.lock_waits import LOCK, Session, session, wait_for_waiters, waiters
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import RunningWorker, ended, outcomes, wait_for_start

pytestmark = pytest.mark.skipif(chosen_vendor() == "sqlite", reason="SQLite has one writer at a time, and no deadlocks")
ON_POSTGRESQL = pytest.mark.skipif(
    chosen_vendor() != "postgresql", reason="elsewhere no claim ever waits for a lock that another may hold"
)
UNDONE = "the {} conflicted with another transaction and was rolled back; retrying: .*[Dd]eadlock"


def _wait_for_waiter(session: Session) -> int:
    """Wait until somebody waits for ``session`` and return the number of that connection."""
    (waiter,) = wait_for_waiters(session.number)
    return waiter


def _wait_until_waiting(session: Session, *, on: int) -> None:
    wait_until(lambda: session.number in waiters(on), "the test's own session to wait for the worker")


def _check_calm(worker: RunningWorker) -> None:
    assert worker.stop() == 0
    assert "the database failed" not in worker.output, worker.output
    assert "has lost claim" not in worker.output, worker.output


def test_a_finish_that_was_a_deadlocks_victim_is_saved_once(start_worker: StartWorker, tmp_path: Path) -> None:
    """The finisher is led through three rows; who holds its last waits for its first before it may ask for that.

    So the finisher closes the ring, whatever order it takes the rows in. Another job's row holds it up before, until
    these wait for it.
    """
    gate, before, after = (str(tmp_path / name) for name in ("gate", "before", "after"))
    first, second = (misbehaving.wait_for_file.enqueue(path) for path in (gate, before))
    jobs = sample.echo.enqueue_many([(name,) for name in "abc"])
    last = misbehaving.wait_for_file.enqueue(after)
    worker = start_worker("--concurrency", "1", HEARTBEAT_INTERVAL=0.2, STALE_AFTER=600)
    wait_for_start(Path(gate))

    with ExitStack() as stack:
        keeper = stack.enter_context(session())
        holders = {stack.enter_context(session()): job for job in jobs}
        keeper.execute(LOCK, first.pk)
        Path(gate).touch()
        _wait_for_waiter(keeper)
        Path(before).touch()  # only now, so that nothing is saved together with the first
        wait_for_start(Path(after))  # by the one thread: the three have returned
        for holder, job in holders.items():
            holder.execute(LOCK, job.pk)
        keeper.rollback()
        assert ended(first) == ["succeeded"]

        its_first = _next_holder(holders)
        taken = holders.pop(its_first)
        its_first.rollback()
        its_second = _next_holder(holders)
        finisher = _wait_for_waiter(its_second)
        del holders[its_second]
        (its_last,) = holders
        closing = Background(lambda: its_last.execute(LOCK, taken.pk))
        _wait_until_waiting(its_last, on=finisher)
        its_second.rollback()
        assert len(closing.result()) == 1, "the worker was undone and let it go"
        worker.wait_for_line(UNDONE.format("finisher"))

    Path(after).touch()
    assert ended(second, *jobs, last) == ["succeeded"] * 5
    assert [job.refresh().result for job in jobs] == ["a", "b", "c"]
    assert [outcomes(job) for job in (first, second, *jobs, last)] == [["succeeded"]] * 6
    _check_calm(worker)


def _next_holder(holders: Iterable[Session]) -> Session:
    """Wait until the finisher waits for one of ``holders`` and return that."""
    waited_for: Session = wait_until(
        lambda: next((holder for holder in holders if waiters(holder.number)), None),
        "the finisher to wait for another row",
    )
    return waited_for


@pytest.fixture
def three_locks(transactional_db: None) -> Iterator[None]:
    """Have every claim take the advisory locks 1, 2 and 3 in this order, as a project's own trigger may."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION take_three() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_advisory_xact_lock(1); PERFORM pg_advisory_xact_lock(2); PERFORM pg_advisory_xact_lock(3);"
            " RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER take_three BEFORE UPDATE ON django_jobs_job FOR EACH ROW"
            " WHEN (OLD.state = 'ready' AND NEW.state = 'running') EXECUTE FUNCTION take_three()"
        )
        yield
        cursor.execute("DROP FUNCTION take_three CASCADE")


@ON_POSTGRESQL
@pytest.mark.usefixtures("three_locks")
def test_a_claim_that_was_a_deadlocks_victim_is_made_again(start_worker: StartWorker) -> None:
    """Held up at the second lock, the claimer is waited for because of the first; the third closes the ring."""
    with session() as keeper, session() as other:
        keeper.execute("SELECT pg_advisory_xact_lock(2)")
        other.execute("SELECT pg_advisory_xact_lock(3)")
        job = sample.echo.enqueue("claimed")
        worker = start_worker("--concurrency", "1", HEARTBEAT_INTERVAL=600, STALE_AFTER=6000)
        claimer = _wait_for_waiter(keeper)
        closing = Background(lambda: other.execute("SELECT pg_advisory_xact_lock(1)"))
        _wait_until_waiting(other, on=claimer)
        keeper.rollback()
        assert len(closing.result()) == 1, "the worker was undone and let it go"
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
    worker = start_worker("--concurrency", "2", settings={"JOB_DEFAULTS": {"backoff": [0.1]}})
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
