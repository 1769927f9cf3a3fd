"""Claim: ready to running, a batch at a time, in the order in which jobs became ready."""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from ...models import Queue
from ...policy.claim_cursors import ClaimCursors, Lane
from ...policy.queue_order import FairOrder
from ..dialects import Dialect, open_dialect
from ..dialects.base.jobs import Claim, Position, QueueSnapshot
from ..dialects.shared.reads import count_running

__all__ = ["Claim", "QueueSnapshot", "claim", "claim_by_priority", "refresh_cursors"]


def refresh_cursors(
    lines: ClaimCursors, *, queues: Sequence[str] | None, using: str | None = None
) -> QueueSnapshot:
    """Look from the head for lines with ready jobs and put them into ``lines``. One statement, no locks."""
    dialect, connection = open_dialect(using)
    began = time.monotonic()
    seen = dialect.jobs.read_snapshot(connection, queues)
    now = time.monotonic()
    lines.update(seen.lanes, now=now, seconds=now - began)
    lines.capped = seen.capped
    return seen


def claim(
    lines: ClaimCursors, line: Lane, *, limit: int, worker_id: int, using: str | None = None
) -> list[Claim]:
    """Claim up to ``limit`` jobs of one known line for the worker, and remember how far it was read.

    One statement (two on MySQL) that commits on its own outside a transaction. Locks only what it
    takes, and passes over what others hold. A line that comes back short is forgotten until the next
    look finds it again.
    """
    dialect, connection = open_dialect(using)
    after = lines.positions.get(line)
    began = time.monotonic()
    if line.queue_name in lines.capped:
        claims = _claim_capped(dialect, connection, line, after=after, limit=limit, worker_id=worker_id)
    else:
        claims = dialect.jobs.claim(connection, line, after=after, limit=limit, worker_id=worker_id)
    if after is None:
        now = time.monotonic()
        lines.count_head_claim(now=now, seconds=now - began)
    if claims:
        lines.positions[line] = dialect.jobs.position(connection, claims[-1])
    if len(claims) < limit:
        lines.exhausted(line)
    return claims


def _claim_capped(
    dialect: Dialect,
    connection: BaseDatabaseWrapper,
    line: Lane,
    *,
    after: Position | None,
    limit: int,
    worker_id: int,
) -> list[Claim]:
    """Claim from a queue of which only so many jobs may run: one worker at a time counts and takes."""
    with dialect.write_transaction(connection):
        queues = Queue.objects.using(connection.alias).select_for_update()
        queue = queues.filter(pk=line.queue_name, paused_at__isnull=True, max_running__isnull=False).first()
        if queue is None or queue.max_running is None:
            return []
        left = queue.max_running - count_running(connection, line.queue_name)
        if left < 1:
            return []
        return dialect.jobs.claim(
            connection, line, after=after, limit=min(limit, left), worker_id=worker_id, capped=True
        )


def claim_by_priority(
    lines: ClaimCursors, *, limit: int, worker_id: int, using: str | None = None
) -> list[Claim]:
    """Claim up to ``limit`` jobs from all known lines, the highest priority first."""
    claims: list[Claim] = []
    for line in FairOrder().order(lines.known):
        wanted = limit - len(claims)
        if wanted > 0:
            claims += claim(lines, line, limit=wanted, worker_id=worker_id, using=using)
    return claims
