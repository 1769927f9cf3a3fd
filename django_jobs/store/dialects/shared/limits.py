"""Limits on databases whose statements write one table each: SQLite, MySQL and MariaDB."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count, Min

from ....models import Job, Permit
from ....policy.limits import LimitKind, PermitPhase
from ....policy.states import State
from ..base.limits import HeldPermit, LimitQueue, LockedJob
from .by_id import InIds, delete_rows
from .now import DatabaseNow

SELECT_QUEUE_HEAD = """
SELECT limit_id, job_id, is_last FROM django_jobs_permit
WHERE limit_id = %s AND phase = 1 ORDER BY urgency, job_id LIMIT %s
"""


class MultiStatementLimits(ABC):
    """Limits on SQLite, MySQL and MariaDB."""

    @abstractmethod
    def read_queue_heads(
        self, connection: BaseDatabaseWrapper, lengths: Mapping[int, int]
    ) -> Iterable[tuple[int, int, bool]]:
        """Return the given number of waiting jobs of each limit: limit, job, whether it is the job's last permit."""

    def release_permits(
        self, connection: BaseDatabaseWrapper, job_ids: Collection[int], *, over: Collection[int]
    ) -> list[HeldPermit]:
        """Read, then delete."""
        permits = Permit.objects.using(connection.alias).filter(run=0, phase=PermitPhase.HELD)
        rows = permits.filter(InIds("job_id", job_ids)).values_list("job_id", "limit_id", "kind")
        held = list(map(HeldPermit._make, rows))
        deletable = {permit.job_id for permit in held if permit.kind != LimitKind.RATE}.intersection(over)
        if deletable:
            delete_rows(permits.filter(InIds("job_id", deletable)).exclude(kind=LimitKind.RATE))
        return held

    def read_queues(
        self, connection: BaseDatabaseWrapper, bounds: Mapping[int, int], *, limit: int
    ) -> dict[int, LimitQueue]:
        """Count first, because there is no LATERAL to read only as many jobs as there is room for."""
        queues = {limit_id: LimitQueue() for limit_id in bounds}
        in_use = Permit.objects.using(connection.alias).filter(
            InIds("limit_id", bounds, index=None), phase__in=[PermitPhase.HELD, PermitPhase.COOLING]
        )
        used = in_use.order_by().values_list("limit_id").annotate(number=Count("*"), free=Min("free_at"))
        for limit_id, number, free_at in used:
            queues[limit_id].used, queues[limit_id].free_at = number, free_at
        lengths = {pk: min(max(bound - queues[pk].used, 0), limit) + 1 for pk, bound in bounds.items()}
        for limit_id, job_id, is_last in self.read_queue_heads(connection, lengths):
            queues[limit_id].waiting.append((job_id, bool(is_last)))
        return queues

    def admit(
        self, connection: BaseDatabaseWrapper, job_ids: Collection[int], *, complete: Collection[int]
    ) -> list[LockedJob]:
        """Lock, then write: three statements."""
        jobs = Job.objects.using(connection.alias)
        rows = jobs.filter(InIds("pk", job_ids)).order_by("pk").select_for_update(skip_locked=True)
        found = [LockedJob._make(row) for row in rows.values_list("pk", "state", "queue_name")]
        blocked = {job.job_id for job in found if job.state == State.BLOCKED}
        permits = Permit.objects.using(connection.alias).filter(InIds("job_id", blocked), run=0)
        permits.filter(phase=PermitPhase.WAITING).update(phase=PermitPhase.HELD, since=DatabaseNow())
        jobs.filter(InIds("pk", blocked.intersection(complete))).update(state=State.READY, ready_at=DatabaseNow())
        return found
