"""Follow: see to what depends on jobs that have just ended, in the transaction in which they did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...models import Job
from ...policy.flags import Links
from ...policy.states import WAITING_STATES, State
from ..batches.count_deltas import count_ends
from ..dependencies.mark_cancelled import mark_cancelled
from ..dependencies.successors import doomed, meet
from ..dialects.base.jobs import Ended
from ..enqueue.expiry import drop_expired
from ..limits.release import settle


def follow(ended: Sequence[Ended], *, using: str) -> None:
    """Do for each kind of link what the ends of these runs ask for. Only runs whose claim stood are given."""
    for bit, see_to in _DUTIES.items():
        linked = [one for one in ended if one.claim.links & bit]
        if linked:
            see_to(linked, using=using)


def follow_cancelled(job_ids: Sequence[int], *, using: str) -> None:
    """Do what the ends of waiting jobs that were just cancelled ask for; what waits for them is cancelled too."""
    if not job_ids:
        return
    linked = Job.objects.using(using).filter(pk__in=job_ids).exclude(links=0)
    links = dict(linked.values_list("pk", "links"))
    _count_cancelled(links, using)
    cancel_successors(cancelled=[pk for pk, bits in links.items() if bits & Links.AWAITED], using=using)


def cancel_successors(*, dead: Sequence[int] = (), cancelled: Sequence[int] = (), using: str) -> None:
    """Cancel what waits for cancelled jobs, or for dead ones and asked for it, and all that waits for that in turn."""
    waiting = doomed(dead=dead, cancelled=cancelled, using=using)
    marked = mark_cancelled(waiting, states=frozenset({State.BLOCKED}), using=using) if waiting else []
    if marked:
        linked = Job.objects.using(using).filter(pk__in=marked).exclude(links=0)
        _count_cancelled(dict(linked.values_list("pk", "links")), using)


def _count_cancelled(links: Mapping[int, int], alias: str) -> None:
    batched = [pk for pk, bits in links.items() if bits & Links.BATCHED]
    if batched:
        count_ends(dict.fromkeys(batched, State.CANCELLED), using=alias)


def _follow_awaited(ended: Sequence[Ended], *, using: str) -> None:
    """Release or cancel what waits for these."""
    by_state: dict[State, list[int]] = {}
    for one in ended:
        by_state.setdefault(one.decision.state, []).append(one.claim.job_id)
    if State.SUCCEEDED in by_state:
        meet(by_state[State.SUCCEEDED], using=using)
    dead, cancelled = by_state.get(State.DEAD, []), by_state.get(State.CANCELLED, [])
    if dead or cancelled:
        cancel_successors(dead=dead, cancelled=cancelled, using=using)


def _follow_batched(ended: Sequence[Ended], *, using: str) -> None:
    """Count those that ended in their batches."""
    count_ends({one.claim.job_id: one.decision.state for one in ended}, using=using)


def _follow_asked(ended: Sequence[Ended], *, using: str) -> None:
    """Cancel those that were asked to end while they ran, and whose end of the run would have them run again."""
    again = [one.claim.job_id for one in ended if one.decision.state in WAITING_STATES]
    follow_cancelled(mark_cancelled(again, using=using), using=using)


def _follow_expiring(ended: Sequence[Ended], *, using: str) -> None:
    """See to those that were too old to begin, and cancel those that would be by the time of their next run."""
    follow_cancelled(drop_expired(ended, using=using), using=using)


# Plain numbers: what an enumeration's & takes is felt in a finish of hundreds.
_DUTIES: dict[int, Callable[..., None]] = {
    int(Links.LIMITED): settle,
    int(Links.AWAITED): _follow_awaited,
    int(Links.BATCHED): _follow_batched,
    int(Links.ASKED): _follow_asked,
    int(Links.EXPIRES): _follow_expiring,
}
