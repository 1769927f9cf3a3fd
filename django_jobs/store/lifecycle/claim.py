"""Claim ready jobs in batches, in the order in which they became ready."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from ...policy.claim_cursors import ClaimCursors, Lane
from ...policy.claim_spread import first_place
from ...policy.outage_pauses import TEST_SECONDS
from ...policy.queue_order import FairOrder
from ..dialects import Dialect, open_dialect
from ..dialects.base.jobs import Claim, Position, QueueSnapshot
from ..dialects.shared.reads import count_running
from ..queues import lock_capped_queue, suspend

__all__ = ["Claim", "QueueSnapshot", "claim", "claim_by_priority", "refresh_cursors", "spread_claims"]


def refresh_cursors(cursors: ClaimCursors, *, queues: Sequence[str] | None, using: str | None = None) -> QueueSnapshot:
    """Find the lanes with ready jobs and add them to ``cursors``. One statement, no locks."""
    dialect, connection = open_dialect(using)
    snapshot = dialect.jobs.read_snapshot(connection, queues)
    cursors.update(snapshot.lanes, now=time.monotonic(), reading=snapshot.reading_seconds)
    cursors.capped = snapshot.capped
    return snapshot


def claim(cursors: ClaimCursors, lane: Lane, *, limit: int, worker_id: int, using: str | None = None) -> list[Claim]:
    """Claim up to ``limit`` jobs of one known lane for the worker, and move the lane's cursor behind them.

    One statement (two on MySQL), which commits on its own unless a transaction is open. It locks only the rows it
    claims and skips rows locked by others. A lane that returns fewer jobs is forgotten until the next
    ``refresh_cursors`` finds it again. After a conflict (``spread_claims``) a claim without a cursor sends one
    statement more to begin further down.
    """
    dialect, connection = open_dialect(using)
    after = cursors.positions.get(lane)
    if after is None and (jobs := cursors.spread.jobs(time.monotonic())):
        after = _random_position(dialect, connection, lane, jobs=jobs, limit=limit)
    if lane.queue_name in cursors.capped:
        claims = _claim_capped(dialect, connection, lane, after=after, limit=limit, worker_id=worker_id)
    else:
        claims = dialect.jobs.claim(connection, lane, after=after, limit=limit, worker_id=worker_id)
    if claims:
        cursors.positions[lane] = dialect.jobs.position(connection, claims[-1])
    if len(claims) < limit:
        cursors.exhausted(lane)
    return claims


def spread_claims(cursors: ClaimCursors, lane: Lane, *, limit: int, using: str | None = None) -> bool:
    """After a claim that another was faster than, have the next ones begin elsewhere; tell whether that is of use.

    One statement. It is not of use if the lane has no more than one claim takes.
    """
    dialect, connection = open_dialect(using)
    cursors.spread.conflicted(limit=limit, now=time.monotonic())
    jobs = cursors.spread.jobs(time.monotonic())
    after = _random_position(dialect, connection, lane, jobs=jobs, limit=limit)
    cursors.positions[lane] = after
    return after is not None


def _random_position(
    dialect: Dialect, connection: BaseDatabaseWrapper, lane: Lane, *, jobs: int, limit: int
) -> Position | None:
    """Return a position within the first ``jobs`` of the lane that has a whole claim behind it, None for its head."""
    found = dialect.jobs.read_positions(connection, lane, jobs)
    place = first_place(len(found), limit=limit, dice=random.random())  # noqa: S311 - no secret
    return found[place - 1] if place else None


def _claim_capped(
    dialect: Dialect,
    connection: BaseDatabaseWrapper,
    lane: Lane,
    *,
    after: Position | None,
    limit: int,
    worker_id: int,
) -> list[Claim]:
    """Claim from a queue with a maximum of running jobs, or one job, as a test, from one whose suspension is over.

    The queue's lock lets one worker count and claim.
    """
    with dialect.write_transaction(connection):
        queue = lock_capped_queue(lane.queue_name, using=connection.alias)
        if queue is None:
            return []
        if queue.max_running is not None:
            limit = min(limit, queue.max_running - count_running(connection, lane.queue_name))
        if queue.suspended_until is not None:
            limit = min(limit, 1)
        if limit < 1:
            return []
        claims = dialect.jobs.claim(connection, lane, after=after, limit=limit, worker_id=worker_id, capped=True)
        if claims and queue.suspended_until is not None:
            suspend(lane.queue_name, TEST_SECONDS, using=connection.alias)
        return claims


def claim_by_priority(cursors: ClaimCursors, *, limit: int, worker_id: int, using: str | None = None) -> list[Claim]:
    """Claim up to ``limit`` jobs from all known lanes, highest priority first."""
    claims: list[Claim] = []
    for lane in FairOrder().order(cursors.known):
        wanted = limit - len(claims)
        if wanted > 0:
            claims += claim(cursors, lane, limit=wanted, worker_id=worker_id, using=using)
    return claims
