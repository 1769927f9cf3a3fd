"""Update what depends on jobs that have just ended, in the transaction that ended them."""

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
    """Call the handler of each flag with the runs that have it. ``ended`` are runs whose claim was still valid."""
    for bit, handler in _HANDLERS.items():
        flagged = [run for run in ended if run.claim.flags & bit]
        if flagged:
            handler(flagged, using=using)


def handle_cancelled(job_ids: Sequence[int], *, using: str) -> None:
    """Update what depends on waiting jobs that were just cancelled; their dependents are cancelled, too."""
    if not job_ids:
        return
    linked = Job.objects.using(using).filter(pk__in=job_ids).exclude(flags=0)
    flags = dict(linked.values_list("pk", "flags"))
    _count_cancelled(flags, using)
    cancel_dependents(cancelled=[pk for pk, bits in flags.items() if bits & JobFlag.HAS_DEPENDENTS], using=using)


def cancel_dependents(*, dead: Sequence[int] = (), cancelled: Sequence[int] = (), using: str) -> None:
    """Cancel the dependents of cancelled jobs, and of dead ones if they asked for it, with all their own dependents."""
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
    """Release or cancel the dependents of these jobs."""
    by_state: dict[State, list[int]] = {}
    for run in ended:
        by_state.setdefault(run.decision.state, []).append(run.claim.job_id)
    if State.SUCCEEDED in by_state:
        release_dependents(by_state[State.SUCCEEDED], using=using)
    dead, cancelled = by_state.get(State.DEAD, []), by_state.get(State.CANCELLED, [])
    if dead or cancelled:
        cancel_dependents(dead=dead, cancelled=cancelled, using=using)


def _update_batches(ended: Sequence[FinishedRun], *, using: str) -> None:
    """Count the jobs that ended in their batches."""
    record_finished_jobs({run.claim.job_id: run.decision.state for run in ended}, using=using)


def _cancel_requested(ended: Sequence[FinishedRun], *, using: str) -> None:
    """Cancel jobs that would run again but for which cancellation was requested during the run."""
    waiting = [run.claim.job_id for run in ended if run.decision.state in WAITING_STATES]
    handle_cancelled(mark_cancelled(waiting, using=using), using=using)


def _cancel_expired(ended: Sequence[FinishedRun], *, using: str) -> None:
    """Handle jobs that expired before they started, and cancel those that would expire before their next run."""
    handle_cancelled(cancel_expired_after_runs(ended, using=using), using=using)


# Plain integers: the & of an enumeration is slow enough to matter in a finish of hundreds.
_HANDLERS: dict[int, Callable[..., None]] = {
    int(JobFlag.LIMITED): release_permits,
    int(JobFlag.HAS_DEPENDENTS): _update_dependents,
    int(JobFlag.IN_BATCH): _update_batches,
    int(JobFlag.CANCEL_REQUESTED): _cancel_requested,
    int(JobFlag.EXPIRES): _cancel_expired,
}
