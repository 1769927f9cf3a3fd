"""What stands where in the shop's queue at one moment, read as any code of the project may read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count

from django_jobs.models import Attempt, DeadLetter, Job
from django_jobs.policy.states import FINAL_STATES, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Counts by state, and the jobs that a person wants to watch."""

    counts: dict[State, int]
    running: Sequence[Job]
    retries: Sequence[Attempt]
    dead_letters: Sequence[DeadLetter]

    @property
    def is_settled(self) -> bool:
        """True where nothing runs and nothing waits."""
        return not any(number for state, number in self.counts.items() if state not in FINAL_STATES)

    @property
    def finished(self) -> int:
        """How many jobs have ended, one way or another."""
        return sum(self.counts.get(state, 0) for state in FINAL_STATES)

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return sum(self.counts.values())


def take_snapshot() -> Snapshot:
    """Read the queue. ``retries`` are the last tries of jobs that will be tried again."""
    by_state = Job.objects.order_by().values_list("state").annotate(number=Count("pk"))
    retrying = Job.objects.filter(state=State.SCHEDULED, attempt__gt=0).order_by("run_after")
    last_tries = [job.last_attempt for job in retrying]
    return Snapshot(
        counts={State(state): number for state, number in by_state},
        running=list(Job.objects.filter(state=State.RUNNING).order_by("started_at", "pk")),
        retries=[one for one in last_tries if one is not None],
        dead_letters=list(DeadLetter.objects.filter(status=DeadLetter.Status.OPEN).order_by("pk")),
    )


def seconds_until(instant: datetime | None) -> float:
    """Return how far ``instant`` is ahead, at least 0."""
    return max((instant - datetime.now(UTC)).total_seconds(), 0.0) if instant else 0.0
