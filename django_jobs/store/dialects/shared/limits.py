"""Limits where a statement writes one table: what is given out, the lines, the jobs and the permits, each apart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from django.db.models import Count, Min

from ....models import Job, Permit
from ....policy.limits import Kind, Phase
from ....policy.states import State
from ..base.limits import Held, LetIn, OpenLine
from .by_id import Among
from .now import DatabaseNow

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

LINE_HEAD = """
SELECT limit_id, job_id, is_last FROM django_jobs_permit
WHERE limit_id = %s AND phase = 1 ORDER BY urgency, job_id LIMIT %s
"""


class LimitsApart(ABC):
    """Limits on SQLite, MySQL and MariaDB."""

    @abstractmethod
    def read_heads(
        self, connection: BaseDatabaseWrapper, lengths: Mapping[int, int]
    ) -> Iterable[tuple[int, int, bool]]:
        """Return so many of those who wait first at each limit, in order: limit, job, and whether it needs no more."""

    def take_back(
        self, connection: BaseDatabaseWrapper, job_ids: Collection[int], *, over: Collection[int]
    ) -> list[Held]:
        """Read, then delete."""
        permits = Permit.objects.using(connection.alias).filter(run=0, phase=Phase.HELD)
        rows = permits.filter(Among("job_id", job_ids)).values_list("job_id", "limit_id", "kind")
        held = list(map(Held._make, rows))
        gone = {one.job_id for one in held if one.kind != Kind.RATE}.intersection(over)
        if gone:
            permits.filter(Among("job_id", gone)).exclude(kind=Kind.RATE)._raw_delete(connection.alias)
        return held

    def read_lines(
        self, connection: BaseDatabaseWrapper, bounds: Mapping[int, int], *, most: int
    ) -> dict[int, OpenLine]:
        """Count first, because there is no LATERAL to read only as many as there is room for."""
        lines = {limit_id: OpenLine() for limit_id in bounds}
        given = Permit.objects.using(connection.alias).filter(
            Among("limit_id", bounds, index=None), phase__in=[Phase.HELD, Phase.COOLING]
        )
        used = given.order_by().values_list("limit_id").annotate(number=Count("*"), free=Min("free_at"))
        for limit_id, number, free_at in used:
            lines[limit_id].used, lines[limit_id].free_at = number, free_at
        lengths = {pk: min(max(bound - lines[pk].used, 0), most) + 1 for pk, bound in bounds.items()}
        for limit_id, job_id, is_last in self.read_heads(connection, lengths):
            lines[limit_id].waiting.append((job_id, bool(is_last)))
        return lines

    def let_in(
        self, connection: BaseDatabaseWrapper, job_ids: Collection[int], *, complete: Collection[int]
    ) -> list[LetIn]:
        """Lock, then write: three statements."""
        jobs = Job.objects.using(connection.alias)
        rows = jobs.filter(Among("pk", job_ids)).order_by("pk").select_for_update(skip_locked=True)
        found = [LetIn._make(row) for row in rows.values_list("pk", "state", "queue_name")]
        blocked = {one.job_id for one in found if one.state == State.BLOCKED}
        permits = Permit.objects.using(connection.alias).filter(Among("job_id", blocked), run=0)
        permits.filter(phase=Phase.WAITING).update(phase=Phase.HELD, since=DatabaseNow())
        jobs.filter(Among("pk", blocked.intersection(complete))).update(
            state=State.READY, ready_at=DatabaseNow()
        )
        return found
