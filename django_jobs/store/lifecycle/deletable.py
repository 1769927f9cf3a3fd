"""Let go: which ended jobs may be deleted, and what that means for the jobs and batches they are linked to."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...models import BatchJob, Dependency, Job
from ...models.dependency import AWAITED_BY
from ...policy.flags import Links
from ...policy.states import State
from ..dependencies.successors import still_needed
from ..dialects.shared.by_id import Among
from ..enqueue.expiry import forget_expiries
from ..results.retention import let_results_go
from .after_finish import cancel_successors


def let_go(ids: Sequence[int], *, states: Collection[State], using: str) -> list[int]:
    """Lock jobs and return those in one of ``states`` that may be deleted now; the caller deletes them.

    What waits for a dead one is cancelled. A job that succeeded stays while something that waits for it, or ran
    after it, has not ended well: that may ask for its result. A batch keeps its counts. Looked up by key alone, as
    in ``selection.lock``; one statement where no job has links.
    """
    jobs = Job.objects.using(using).filter(Among("pk", ids)).select_for_update().order_by("pk")
    rows = [row for row in jobs.values_list("pk", "state", "links") if row[1] in states]
    awaited = {pk: state for pk, state, links in rows if links & Links.AWAITED}
    needed = _see_to_awaited(awaited, using) if awaited else set()
    batched = [pk for pk, _, links in rows if links & Links.BATCHED and pk not in needed]
    if batched:
        BatchJob.objects.using(using).filter(Among("job_id", batched))._raw_delete(using)
    expiring = [pk for pk, _, links in rows if links & Links.EXPIRES and pk not in needed]
    if expiring:
        forget_expiries(expiring, using=using)
    kept = [pk for pk, _, links in rows if links & Links.KEPT and pk not in needed]
    if kept:
        let_results_go(kept, using=using)
    return [pk for pk, _, _ in rows if pk not in needed]


def _see_to_awaited(states: dict[int, str], alias: str) -> set[int]:
    """Cancel what waits for dead ones, forget the edges of all that go, and return those that stay."""
    cancel_successors(cancelled=[pk for pk, state in states.items() if state == State.DEAD], using=alias)
    needed = still_needed([pk for pk, state in states.items() if state == State.SUCCEEDED], using=alias)
    going = [pk for pk in states if pk not in needed]
    edges = Dependency.objects.using(alias).filter(Among("predecessor_id", going, index=AWAITED_BY))
    edges._raw_delete(alias)
    return needed
