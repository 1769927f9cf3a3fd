"""Staff on a bad day: redrive, cancel, pause, cap and run by hand whatever there is, and write schedules."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, connection

from django_jobs import operations
from django_jobs.models import Batch, CronSchedule, DeadLetter, Job, Queue
from django_jobs.policy.overlap import Overlap
from django_jobs.store.clock import database_now
from tests.factories import make_schedule

from . import jobs as kinds

CANCELLABLE = [kind.name for kind in (kinds.patient, kinds.patient_on_loop, kinds.ticked)]
IN_FLIGHT_SECONDS = 0.1
"""A claim that began before a queue was paused is committed by then."""


class Staff:
    """Each method does something to the jobs; the plan names them. What a method begins, ``relent`` ends."""

    def __init__(self, path: str, note: Callable[[str], None]) -> None:
        self.cancelled: dict[int, float] = {}
        """Waiting jobs that were cancelled, and when that had returned."""
        self.claimed_while_paused: set[tuple[int, int]] = set()
        """Job and claim number."""
        self.paused_schedules: set[str] = set()
        self._note = note
        self._dice = random.Random()
        self._claims: dict[int, int] = {}
        operations.set_max_running(kinds.capped.options.resolve("queue_name"), kinds.CAP)
        first_tick = _next_whole_second()
        for overlap in Overlap:
            make_schedule(
                overlap.value,
                every=timedelta(seconds=1),
                next_due_at=first_tick,
                overlap=overlap.value,
                job_name=kinds.ticked.name,
                arguments={"path": path},
                catch_up="all" if overlap in {Overlap.QUEUE, Overlap.ALLOW} else "latest",
                catch_up_limit=1_000,
            )

    def act(self, what: str, dice: random.Random) -> None:
        """Call the method ``what``."""
        self._dice = dice
        try:
            getattr(self, what)()
        except (OperationalError, InterfaceError) as error:
            self._note(f"staff: {what} failed: {error}")
            if not connection.is_usable():
                connection.close()

    def redrive(self) -> None:
        self._note(f"staff: {operations.redrive(DeadLetter.objects.open(), by='ada')} jobs are redriven")

    def cancel_jobs(self) -> None:
        for job in Job.objects.filter(name__in=CANCELLABLE, state__in=["ready", "running", "scheduled"])[:3]:
            result = job.cancel(by="ada")
            if result.cancelled:
                self.cancelled[job.pk] = time.monotonic()
            self._note(f"staff: job {job.pk} is cancelled: {result}")

    def cancel_batch(self) -> None:
        batches = list(Batch.objects.filter(state__in=["open", "running"]).order_by("pk"))
        if batches:
            batch = self._dice.choice(batches)
            self._note(f"staff: batch {batch.pk} is cancelled: {operations.cancel_batch(batch.pk, by='ada')}")

    def pause(self) -> None:
        """Pause the default queue for a moment and see that nothing of it is claimed."""
        operations.pause("default", by="ada")
        pause = threading.Event()
        pause.wait(IN_FLIGHT_SECONDS)
        before = self._claim_numbers()
        pause.wait(self._dice.uniform(0.1, 0.4))
        after = self._claim_numbers()
        self.claimed_while_paused |= {(pk, number) for pk, number in after.items() if number > before.get(pk, 0)}
        operations.resume("default")
        self._note("staff: the queue default was paused")

    def cap(self) -> None:
        limit = self._dice.randint(1, kinds.CAP)
        operations.set_max_running("capped", limit)
        self._note(f"staff: the queue capped has at most {limit} running jobs")

    def pause_schedule(self) -> None:
        schedule = self._schedule()
        self.paused_schedules.add(schedule.name)
        if not operations.resume_schedule(schedule):
            operations.pause_schedule(schedule, by="ada")
        self._note(f"staff: schedule {schedule} is paused or resumed")

    def run_schedule(self) -> None:
        schedule = self._schedule()
        self._note(f"staff: schedule {schedule} is run: {operations.run_schedule(schedule, by='ada')}")

    def run_now(self) -> None:
        self._note(f"staff: {operations.run_now(Job.objects.filter(state='scheduled'))} scheduled jobs are run now")

    def relent(self) -> None:
        """Leave nothing paused, and let no schedule fire any more."""
        for schedule in CronSchedule.objects.all():
            operations.pause_schedule(schedule, by="ada")
        for queue in Queue.objects.filter(paused_at__isnull=False):
            operations.resume(queue.name)

    def mend(self) -> None:
        """Redrive what only waits for a redrive."""
        operations.redrive(DeadLetter.objects.open().filter(job_name=kinds.mended.name), by="ada")

    def _schedule(self) -> CronSchedule:
        return self._dice.choice(list(CronSchedule.objects.order_by("pk")))

    @staticmethod
    def _claim_numbers() -> dict[int, int]:
        return dict(Job.objects.filter(queue_name="default").values_list("pk", "claim_number"))


def _next_whole_second() -> datetime:
    """Return when a schedule of one second fires next: at whole seconds, whenever it was made."""
    return database_now().replace(microsecond=0) + timedelta(seconds=1)
