"""The claimer checks the queues again at once, whatever held it up, and reaches every queue, however many there are."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, connection

from django_jobs.conf import get_settings
from django_jobs.models import Job, Worker
from django_jobs.policy.outcomes import Released
from django_jobs.store.dialects.base.jobs import Claim
from django_jobs.store.queues import pause, set_max_running
from django_jobs.worker.duties.activity import ActivityReport
from django_jobs.worker.duties.heartbeat import Heartbeat
from django_jobs.worker.duties.notifiers import PollingOnly
from django_jobs.worker.execution.events import ProgressUpdate
from django_jobs.worker.execution.finalize import finalize
from django_jobs.worker.execution.runtime import WorkerContext
from django_jobs.worker.executors.chunks import ChunkQueue, ClaimedChunk, claims_of
from django_jobs.worker.options import WorkerOptions
from django_jobs.worker.pipeline.claimer import MAX_ACTIVE_CLAIMS, Claimer
from django_jobs.worker.pipeline.finisher import Finisher
from tests.concurrency import DEADLINE_SECONDS, Background, wait_until
from tests.factories import ago, make_job, make_jobs, make_queues_of_one_job, make_worker, take
from tests.lock_waits import session
from tests.worker.contexts import RecordedEvents

pytestmark = pytest.mark.django_db(transaction=True)

STALL_SECONDS = 1.2
"""Twenty times as long is far beyond the deadline of a job that comes afterwards."""
SOON_SECONDS = 1.0

LOCK = {
    "postgresql": ("BEGIN", "LOCK TABLE django_jobs_job IN ACCESS EXCLUSIVE MODE"),
    "mysql": ("LOCK TABLES django_jobs_job WRITE",),
    "sqlite": ("BEGIN IMMEDIATE",),
}
UNLOCK = {"postgresql": "COMMIT", "mysql": "UNLOCK TABLES", "sqlite": "COMMIT"}
ARE_WAITING = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = database() AND state LIKE 'Waiting for table%%'",
}


class InstantExecutor:
    """Runs each job the moment it is claimed."""

    low_water_mark = 0
    capacity = 4

    def __init__(self) -> None:
        self.waiting: deque[Claim | ClaimedChunk] = deque()
        self.claims: list[Claim] = []
        self.chunks = ChunkQueue(self.submit, lambda role: None)

    @property
    def started_count(self) -> int:
        return len(self.claims)

    def submit(self, claims: Iterable[Claim | ClaimedChunk]) -> None:
        self.claims += [claim for work in claims for claim in claims_of(work)]

    def busy(self) -> list[tuple[Claim | ClaimedChunk, float]]:
        return self.running()

    def running(self) -> list[tuple[Claim | ClaimedChunk, float]]:
        return []

    def interrupt(self, claim: Claim) -> bool:
        return False

    def stop(self) -> None: ...

    def join(self, deadline: float) -> bool:
        return True


class Worked:
    """A claimer with executors that are never busy; without threads: each round is the test's."""

    def __init__(self, **options: Any) -> None:
        self.context = context = WorkerContext(
            settings=get_settings(),
            options=WorkerOptions(**options),
            events=RecordedEvents(),
            worker_id=make_worker().pk,
        )
        self.events: Any = context.events
        self.executor = InstantExecutor()
        self.claimer = Claimer(
            context,
            threads=self.executor,
            event_loop=InstantExecutor(),
            finisher=Finisher(context),
            notifier=PollingOnly(),
        )

    @property
    def claimed(self) -> set[int]:
        return {claim.job_id for claim in self.executor.claims}

    def work(self, until: Callable[[], bool], *, seconds: float = DEADLINE_SECONDS) -> None:
        """Do rounds, with the pauses that they ask for, until something holds."""
        deadline = time.monotonic() + seconds
        while not until():
            self.claimer._notifier.clear()
            delay = self.claimer.step()
            if not until():
                assert time.monotonic() < deadline, f"{len(self.claimed)} jobs were claimed within {seconds} s"
                self.claimer._notifier.wait(delay)

    def takes(self, job: Job, *, seconds: float = SOON_SECONDS) -> None:
        """Claim this job soon."""
        self.work(lambda: job.pk in self.claimed, seconds=seconds)


@pytest.fixture
def without_reading_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each round look at the queues: the pause after two readings of 0.2 ms is as long as a test's inserts."""
    monkeypatch.setattr("django_jobs.policy.claim_cursors.READING_SHARE", 0)


@contextmanager
def locked_table() -> Iterator[Callable[[], None]]:
    """Lock the table of jobs (SQLite: the file for writers) on a connection of its own; gives what unlocks it."""
    wrapper = connection.copy()
    wrapper.inc_thread_sharing()
    wrapper.ensure_connection()
    try:
        with wrapper.cursor() as cursor:
            for statement in LOCK[wrapper.vendor]:
                cursor.execute(statement)

        def unlock() -> None:
            with wrapper.cursor() as cursor:
                cursor.execute(UNLOCK[wrapper.vendor])

        yield unlock
    finally:
        wrapper.close()
        wrapper.dec_thread_sharing()


def someone_waits() -> bool:
    if connection.vendor == "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute(ARE_WAITING[connection.vendor])
        return bool(cursor.fetchall())


@pytest.mark.parametrize("held_up", ["snapshot", "claim"])
def test_after_a_stall_the_next_job_is_claimed_at_once(held_up: str) -> None:
    ours = Worked()
    if held_up == "claim" or connection.vendor == "sqlite":  # readers of SQLite wait for nobody
        make_job()
    if held_up == "claim":
        ours.claimer._refresh()  # it knows of the job: the claim itself is what waits
    with locked_table() as unlock:
        stalled = Background(ours.claimer.step)
        wait_until(someone_waits, "the claimer to wait for the lock")
        threading.Event().wait(STALL_SECONDS)
        assert not stalled.has_ended
        unlock()
        stalled.result()
    assert ours.claimer._cursors._last_reading < STALL_SECONDS / 10, "it waited, and read next to nothing"
    ours.work(lambda: not ours.claimer._cursors.positions)

    ours.takes(make_job())


def test_a_process_that_was_frozen_claims_nothing_as_the_lost_worker() -> None:
    ours, job = Worked(), make_job()
    heartbeat = Heartbeat(ours.context, ActivityReport(ours.context, threads=ours.executor, event_loop=ours.executor))
    heartbeat.step()
    frozen_for = get_settings().worker.stale_after
    Worker.objects.update(state="lost", heartbeat_at=ago(seconds=frozen_for.total_seconds()), stopped_at=ago())
    ours.context.counts_as_lost_at -= frozen_for.total_seconds()

    ours.claimer.step()
    assert ours.claimed == set()

    heartbeat.step()
    ours.takes(job)
    assert Worker.objects.get(pk=job.refresh().worker_id).state == "running"


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL counts the entries")
def test_dead_entries_are_counted_and_make_the_claimer_pause() -> None:
    ours = Worked()
    number = 4_000
    make_queues_of_one_job(number, queue_name="default")
    with session() as old_report:
        old_report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old_report.execute("SELECT count(*) FROM django_jobs_job")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE django_jobs_job SET state = 'succeeded'")
        for _ in range(2):
            ours.claimer._refresh()
        assert ours.claimer._cursors._last_reading == pytest.approx(number * 0.25e-6, rel=0.01)
        assert not ours.claimer._cursors.snapshot_due(time.monotonic() + 0.02)
        old_report.rollback()


def test_after_a_statement_that_failed_the_next_job_is_claimed_at_once() -> None:
    ours = Worked()
    ours.claimer.step()
    _pretend_dead_entries(ours, seconds=0.02)
    job = make_job()

    def fail(*arguments: Any) -> None:
        raise DatabaseError("the connection is closed")

    ours.claimer._next_due_at = 0.0  # a round that asks the database
    with connection.execute_wrapper(fail), pytest.raises(DatabaseError):
        ours.claimer.step()

    ours.takes(job, seconds=0.5)


def test_a_notification_ends_the_pause_after_many_dead_entries() -> None:
    ours = Worked()
    ours.claimer.step()
    _pretend_dead_entries(ours, seconds=0.02)
    job = make_job()
    ours.claimer.step()
    assert ours.claimed == set()

    ours.claimer.work_enqueued(0.1)

    ours.takes(job, seconds=0.5)


def test_a_notification_is_followed_from_the_position_without_reading_dead_entries() -> None:
    ours = Worked()
    first = make_job()
    ours.takes(first)
    ours.work(lambda: not ours.claimer._cursors.positions)
    ours.claimer._cursors._next_snapshot = math.inf
    before = ours.claimer.last_snapshot
    jobs = make_jobs(3)

    ours.claimer.work_enqueued(5, "default")

    ours.work(lambda: ours.claimed == {first.pk, *(job.pk for job in jobs)}, seconds=SOON_SECONDS)
    assert ours.claimer.step() > 0, "it found nothing more, and does not spin"
    unannounced = make_job()
    ours.takes(unannounced)
    assert ours.claimer.last_snapshot is before


@pytest.mark.parametrize("too_many", ["unsaved", "active"])
def test_claims_go_on_at_once_when_a_batch_is_saved(too_many: str) -> None:
    make_job()
    ours = Worked()
    finisher, notifier, context = ours.claimer._finisher, ours.claimer._notifier, ours.claimer._context
    ours.events.batch_saved = ours.claimer.batch_saved
    claim = take(Worker.objects.get(pk=context.worker_id))[0]
    job = make_job()
    if too_many == "unsaved":
        for _ in range(2 * get_settings().worker.claim_batch_size + 1):
            finisher.queue.put(ProgressUpdate(claim, {}))
    else:
        context.active_claims.update((claim.job_id - number, claim) for number in range(MAX_ACTIVE_CLAIMS + 1))
        finisher.queue.put(finalize(claim, Released(started=False), context))
    notifier.clear()
    assert ours.claimer.step()
    assert (ours.claimed, notifier.is_set()) == (set(), False)
    while len(finisher.queue):
        finisher.collect()
        finisher.step()
    assert notifier.is_set(), "no pause ends the wait"
    ours.takes(job)


def _snapshots(ours: Worked) -> list[object]:
    """Return a list that grows by each snapshot of the queues."""
    taken: list[object] = []
    refresh = ours.claimer._refresh

    def counted() -> None:
        taken.append(None)
        refresh()

    ours.claimer._refresh = counted  # type: ignore[method-assign]
    return taken


def test_a_notified_lane_is_claimed_from_before_the_queues_are_looked_at() -> None:
    ours = Worked()
    ours.claimer.step()
    snapshots = _snapshots(ours)
    for priority in (0, 0, 7):
        job = make_job(priority=priority)
        ours.claimer.work_enqueued(0.1, "default", priority)
        assert ours.claimer.step() > 0, "it is done, and pauses"
        assert job.pk in ours.claimed
    assert snapshots == []
    unannounced = make_job(priority=3)
    ours.takes(unannounced)
    assert snapshots


def test_of_a_notified_lane_no_more_are_claimed_than_executors_are_idle_before_a_look() -> None:
    ours = Worked()
    ours.claimer.step()
    urgent = make_job(priority=50)  # its notification is lost
    many = make_jobs(20)
    ours.claimer.work_enqueued(0.1, "default", 0)
    assert ours.claimer.step() == 0
    assert ours.claimed == {job.pk for job in many[: InstantExecutor.capacity]}
    ours.claimer.step()
    assert urgent.pk in ours.claimed


@pytest.mark.usefixtures("without_reading_pauses")
def test_of_several_notified_lanes_the_highest_priority_comes_first() -> None:
    ours = Worked()
    ours.claimer.step()
    low, high = make_job(priority=1), make_job(priority=9)
    ours.claimer.work_enqueued(0.1, "default", 1)
    ours.claimer.work_enqueued(0.1, "default", 9)
    ours.claimer.step()
    assert [claim.job_id for claim in ours.executor.claims] == [high.pk, low.pk]


def test_a_notification_without_a_priority_makes_it_look_before_it_claims() -> None:
    ours = Worked()
    ours.claimer.step()
    low = make_jobs(InstantExecutor.capacity, priority=1)
    high = make_job(priority=9)
    ours.claimer.work_enqueued(0.1, "default", None)
    ours.claimer.work_enqueued(0.1, "default", 1)
    ours.work(lambda: len(ours.claimed) == 1 + len(low))
    assert ours.executor.claims[0].job_id == high.pk


@pytest.mark.usefixtures("without_reading_pauses")
def test_a_lower_lane_does_not_overtake_one_that_was_notified_a_moment_ago() -> None:
    """What was enqueued in the higher one since then was not notified."""
    ours = Worked()
    ours.claimer.step()
    ours.claimer.work_enqueued(60, "default", 9)
    ours.claimer.step()
    make_jobs(InstantExecutor.capacity, priority=1)
    high = make_job(priority=9)
    ours.claimer.work_enqueued(60, "default", 1)
    ours.claimer.step()
    assert ours.executor.claims[0].job_id == high.pk


def test_a_stream_of_notifications_does_not_put_off_looking_at_the_queues() -> None:
    ours = Worked()
    ours.claimer.step()
    lost = make_job(queue_name="not notified")

    def is_found() -> bool:
        make_job()
        ours.claimer.work_enqueued(0.1, "default", 0)
        return lost.pk in ours.claimed

    ours.work(is_found, seconds=SOON_SECONDS)


@pytest.mark.usefixtures("without_reading_pauses")
def test_a_notified_lane_that_has_nothing_to_claim_makes_it_look_at_the_queues() -> None:
    ours = Worked()
    ours.claimer.step()
    pause("paused")
    set_max_running("capped", 1)
    held, capped = make_job(queue_name="paused"), make_job(queue_name="capped")
    snapshots = _snapshots(ours)
    ours.claimer.work_enqueued(0.1, "paused", 0)
    ours.claimer.work_enqueued(0.1, "capped", 0)
    ours.claimer.work_enqueued(0.1, "no such queue", -7)
    ours.claimer.step()
    assert snapshots
    assert capped.pk in ours.claimed
    assert held.pk not in ours.claimed


def test_a_notified_lane_is_not_read_from_its_head_during_the_pause_after_dead_entries() -> None:
    ours = Worked()
    ours.claimer.step()
    _pretend_dead_entries(ours, seconds=0.02)
    ours.claimer._cursors._next_snapshot = math.inf
    make_job(priority=4)
    ours.claimer.work_enqueued(0.1, "default", 4)
    ours.claimer.step()
    assert ours.claimed == set()


def test_in_a_strict_order_no_later_queue_is_claimed_from_by_a_notification_alone() -> None:
    ours = Worked(queues=("earlier", "later"), strict=True)
    ours.takes(make_job(queue_name="later"))
    ours.work(lambda: not ours.claimer._cursors.positions)
    _pretend_dead_entries(ours, seconds=0.01)
    later, earlier = make_job(queue_name="later"), make_job(queue_name="earlier")

    ours.claimer.work_enqueued(5, "later", 0)

    ours.takes(later)
    assert [claim.job_id for claim in ours.executor.claims][-2:] == [earlier.pk, later.pk]


def test_a_higher_priority_is_noticed_while_a_long_queue_is_worked_off() -> None:
    ours = Worked(concurrency=1)
    long = {job.pk for job in make_jobs(30, queue_name="long")}
    ours.claimer.step()
    assert ours.claimed < long
    urgent = make_job(priority=50)
    assert ours.claimer._cursors.positions
    ours.claimer._cursors._next_snapshot -= 1  # a moment later

    ours.claimer.step()

    assert urgent.pk in ours.claimed
    assert long - ours.claimed


def test_it_tells_when_it_last_checked_the_queues_or_had_no_room() -> None:
    ours = Worked()

    def checks() -> bool:
        began = time.monotonic()
        ours.claimer.step()
        return ours.claimer.checked_at >= began

    assert checks()
    _pretend_dead_entries(ours, seconds=0.02)
    assert not checks()
    make_job()
    ours.claimer._jobs_left = 0
    assert checks(), "it has no room, so that there is nothing to check"


def test_a_queue_whose_jobs_are_gone_at_the_next_check_is_still_reported_as_seen() -> None:
    ours = Worked()
    ours.takes(make_job(queue_name="quick"))
    ours.takes(make_job(queue_name="quick too"))
    ours.claimer.step()
    assert ours.claimer._context.seen_queues == {"quick", "quick too"}


def test_hundreds_of_queues_of_one_job_are_worked_off_and_the_next_job_is_claimed_at_once() -> None:
    number = 300
    make_queues_of_one_job(number // 2)
    make_queues_of_one_job(number // 2, priority=7)
    ours = Worked()

    ours.work(lambda: len(ours.claimed) == number)

    ours.takes(make_job(queue_name="one more"))


def _pretend_dead_entries(ours: Worked, *, seconds: float) -> None:
    """Have the last two snapshots read dead entries for so long."""
    for _ in range(2):
        ours.claimer._cursors.update([], now=time.monotonic(), reading=seconds)
    assert not ours.claimer._cursors.snapshot_due(time.monotonic() + seconds * 10)
