"""Follow: see to what depends on jobs that have just ended, in the transaction in which they did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...models import Job
from ...policy.flags import JobFlag
from ...policy.states import WAITING_STATES, State
from ..batches.count_deltas import record_finished_jobs
from ..dependencies.mark_cancelled import mark_cancelled
from ..dependencies.successors import dependents_to_cancel, release_dependents
from ..dialects.base.jobs import FinishedRun
from ..enqueue.expiry import cancel_expired_after_runs
from ..limits.release import release_permits


def handle_finished(ended: Sequence[FinishedRun], *, using: str) -> None:
    """Do for each kind of link what the ends of these runs ask for. Only runs whose claim stood are given."""
    for bit, handler in _HANDLERS.items():
        linked = [one for one in ended if one.claim.flags & bit]
        if linked:
            handler(linked, using=using)


def handle_cancelled(job_ids: Sequence[int], *, using: str) -> None:
    """Do what the ends of waiting jobs that were just cancelled ask for; what waits for them is cancelled too."""
    if not job_ids:
        return
    linked = Job.objects.using(using).filter(pk__in=job_ids).exclude(flags=0)
    flags = dict(linked.values_list("pk", "flags"))
    _count_cancelled(flags, using)
    cancel_dependents(
        cancelled=[pk for pk, bits in flags.items() if bits & JobFlag.HAS_DEPENDENTS], using=using
    )


def cancel_dependents(*, dead: Sequence[int] = (), cancelled: Sequence[int] = (), using: str) -> None:
    """Cancel what waits for cancelled jobs, or for dead ones and asked for it, and all that waits for that in turn."""
    waiting = dependents_to_cancel(dead=dead, cancelled=cancelled, using=using)
    marked = mark_cancelled(waiting, states=frozenset({State.BLOCKED}), using=using) if waiting else []
    if marked:
        linked = Job.objects.using(using).filter(pk__in=marked).exclude(flags=0)
        _count_cancelled(dict(linked.values_list("pk", "flags")), using)


def _count_cancelled(flags: Mapping[int, int], alias: str) -> None:
    batched = [pk for pk, bits in flags.items() if bits & JobFlag.IN_BATCH]
    if batched:
        record_finished_jobs(dict.fromkeys(batched, State.CANCELLED), using=alias)


def _update_dependents(ended: Sequence[FinishedRun], *, using: str) -> None:
    """Release or cancel what waits for these."""
    by_state: dict[State, list[int]] = {}
    for one in ended:
        by_state.setdefault(one.decision.state, []).append(one.claim.job_id)
    if State.SUCCEEDED in by_state:
        release_dependents(by_state[State.SUCCEEDED], using=using)
    dead, cancelled = by_state.get(State.DEAD, []), by_state.get(State.CANCELLED, [])
    if dead or cancelled:
        cancel_dependents(dead=dead, cancelled=cancelled, using=using)


def _update_batches(ended: Sequence[FinishedRun], *, using: str) -> None:
    """Count those that ended in their batches."""
    record_finished_jobs({one.claim.job_id: one.decision.state for one in ended}, using=using)


def _cancel_requested(ended: Sequence[FinishedRun], *, using: str) -> None:
    """Cancel those that were asked to end while they ran, and whose end of the run would have them run again."""
    again = [one.claim.job_id for one in ended if one.decision.state in WAITING_STATES]
    handle_cancelled(mark_cancelled(again, using=using), using=using)


def _cancel_expired(ended: Sequence[FinishedRun], *, using: str) -> None:
    """See to those that were too old to begin, and cancel those that would be by the time of their next run."""
    handle_cancelled(cancel_expired_after_runs(ended, using=using), using=using)


# Plain numbers: what an enumeration's & takes is felt in a finish of hundreds.
_HANDLERS: dict[int, Callable[..., None]] = {
    int(JobFlag.LIMITED): release_permits,
    int(JobFlag.HAS_DEPENDENTS): _update_dependents,
    int(JobFlag.IN_BATCH): _update_batches,
    int(JobFlag.CANCEL_REQUESTED): _cancel_requested,
    int(JobFlag.EXPIRES): _cancel_expired,
}
