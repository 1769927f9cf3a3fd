"""Release blocked jobs that wait for nothing: their dependencies or permits were deleted or changed by hand."""

from __future__ import annotations

from collections.abc import Sequence

from ...models import Job, Permit
from ...policy.flags import JobFlag
from ...policy.limits import PermitPhase
from ...policy.states import State
from ..dependencies.release import release
from ..dependencies.successors import without_unmet_dependencies
from ..dialects import open_dialect
from ..dialects.shared.by_id import InIds
from ..limits.permits import insert_permits
from ..limits.repair import NeedsResolver
from ..selection import CHUNK, lock_jobs

WINDOW = 2_000


def release_unblocked(*, after: int, resolve: NeedsResolver, using: str | None = None) -> tuple[int, int | None]:
    """Check the next 2,000 jobs behind ``after``; return how many were released, and where to continue.

    A job under limits then waits at the first whose permit it lacks; if it has no permits at all it gets those that
    it needs by the code, and is left alone if this code cannot tell. None at the end of the table.
    """
    dialect, connection = open_dialect(using)
    alias = connection.alias
    jobs = Job.objects.using(alias).filter(pk__gt=after).order_by("pk")
    last = jobs.values_list("pk", flat=True)[WINDOW - 1 : WINDOW].first()
    window = jobs.filter(state=State.BLOCKED) if last is None else jobs.filter(state=State.BLOCKED, pk__lte=last)
    blocked = list(window.values_list("pk", flat=True))
    released = 0
    for start in range(0, len(blocked), CHUNK):
        found = _without_reason(blocked[start : start + CHUNK], alias)
        if found:
            with dialect.write_transaction(connection):
                locked = lock_jobs(found, states={State.BLOCKED}, using=alias)
                released += _release(_without_reason(locked, alias), resolve, alias)
    return released, last


def _release(ids: Sequence[int], resolve: NeedsResolver, alias: str) -> int:
    """Release locked jobs that wait for nothing, and let those that have lost their permits wait at their limits."""
    permits = Permit.objects.using(alias).filter(InIds("job_id", ids), run=0)
    with_permits = set(permits.values_list("job_id", flat=True))
    ready: list[int] = []
    renewed = 0
    for job in Job.objects.using(alias).filter(InIds("pk", ids)).order_by("pk"):
        needs = resolve(job) if job.flags & JobFlag.LIMITED and job.pk not in with_permits else ()
        if needs:
            insert_permits([(job.pk, needs)], priority=job.priority, waiting=True, using=alias)
            renewed += 1
        elif needs is not None:
            ready.append(job.pk)
    return renewed + release(ready, using=alias)


def _without_reason(ids: Sequence[int], alias: str) -> list[int]:
    """Return those of the jobs that have neither an unmet dependency nor a permit that waits."""
    waiting = Permit.objects.using(alias).filter(InIds("job_id", ids), run=0, phase=PermitPhase.WAITING)
    at_limits = set(waiting.values_list("job_id", flat=True))
    return without_unmet_dependencies([pk for pk in ids if pk not in at_limits], using=alias)
