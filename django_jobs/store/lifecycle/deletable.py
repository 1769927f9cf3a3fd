"""Lock ended jobs that may be deleted, and detach them from their dependents, batches, expiries and results."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...models import BatchJob, Dependency, Job
from ...models.dependency import SUCCESSORS_INDEX
from ...policy.flags import JobFlag
from ...policy.states import State
from ..dependencies.successors import still_needed
from ..dialects.shared.by_id import InIds, delete_rows
from ..enqueue.expiry import delete_expiries
from ..results.retention import expire_results_of_jobs
from .after_finish import cancel_dependents


def lock_deletable(ids: Sequence[int], *, states: Collection[State], using: str) -> list[int]:
    """Lock jobs and return the ids of those in one of ``states`` that may be deleted now; the caller deletes them.

    The dependents of a dead job are cancelled. A job that succeeded is kept while a dependent may ask for its result,
    that is until it has succeeded or was cancelled; a dead one may be redriven. A batch keeps its counts. The statement
    filters by key alone, as in ``selection.lock_jobs``; it is the only one if no job has flags.
    """
    jobs = Job.objects.using(using).filter(InIds("pk", ids)).select_for_update().order_by("pk")
    rows = [row for row in jobs.values_list("pk", "state", "flags") if row[1] in states]
    awaited = {pk: state for pk, state, flags in rows if flags & JobFlag.HAS_DEPENDENTS}
    needed = _detach_dependents(awaited, using) if awaited else set()
    batched = [pk for pk, _, flags in rows if flags & JobFlag.IN_BATCH and pk not in needed]
    if batched:
        delete_rows(BatchJob.objects.using(using).filter(InIds("job_id", batched)))
    expiring = [pk for pk, _, flags in rows if flags & JobFlag.EXPIRES and pk not in needed]
    if expiring:
        delete_expiries(expiring, using=using)
    kept = [pk for pk, _, flags in rows if flags & JobFlag.HAS_RESULT_RETENTION and pk not in needed]
    if kept:
        expire_results_of_jobs(kept, using=using)
    return [pk for pk, _, _ in rows if pk not in needed]


def _detach_dependents(states: dict[int, str], alias: str) -> set[int]:
    """Cancel the dependents of dead jobs, delete the edges of deletable jobs, and return the ids to keep."""
    cancel_dependents(cancelled=[pk for pk, state in states.items() if state == State.DEAD], using=alias)
    needed = still_needed([pk for pk, state in states.items() if state == State.SUCCEEDED], using=alias)
    deletable = [pk for pk in states if pk not in needed]
    edges = Dependency.objects.using(alias).filter(InIds("predecessor_id", deletable, index=SUCCESSORS_INDEX))
    delete_rows(edges)
    return needed
