"""Read the newest ticks of schedules and how their jobs ended, in three statements however many schedules."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import OuterRef, Q, Subquery

from ...models import CronSchedule, Job, Tick
from ...policy.schedule import TickOutcome

MAX_TICKS = 20
"""Ticks of each schedule that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentTick:
    """A tick and the state of its job; ``job_state`` is empty if it fired none, or the job was deleted."""

    tick: Tick
    job_state: str

    @property
    def has_fired(self) -> bool:
        """True if the tick enqueued a job."""
        return self.tick.outcome == TickOutcome.FIRED


def recent_ticks(schedule_ids: Collection[int]) -> dict[int, list[RecentTick]]:
    """Return the newest ``MAX_TICKS`` ticks of each schedule, newest first; each by the index of schedule and time."""
    found: dict[int, list[RecentTick]] = {pk: [] for pk in schedule_ids}
    if not found:
        return found
    last = Tick.objects.filter(schedule=OuterRef("pk")).order_by("-due_at").values("due_at")[MAX_TICKS - 1 : MAX_TICKS]
    oldest = CronSchedule.objects.filter(pk__in=found).values_list("pk", Subquery(last))
    wanted = Q(pk__in=[])
    for pk, due_at in oldest:
        wanted |= Q(schedule=pk) if due_at is None else Q(schedule=pk, due_at__gte=due_at)
    ticks = list(Tick.objects.filter(wanted).order_by("-due_at"))
    jobs = Job.objects.filter(pk__in={tick.job_id for tick in ticks if tick.job_id is not None})
    states = dict(jobs.order_by().values_list("pk", "state"))
    for tick in ticks:
        job_state = states.get(tick.job_id, "") if tick.job_id is not None else ""
        found[tick.schedule_id].append(RecentTick(tick=tick, job_state=job_state))
    return found
