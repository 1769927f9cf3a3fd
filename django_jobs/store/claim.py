"""Claim: ready to running, a batch at a time, in the order in which jobs became ready."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..policy.lines import Line, ReadyLines
from .dialects import open_dialect
from .dialects.base import Claim, Look

__all__ = ["Claim", "Look", "claim", "claim_in_turn", "look"]


def look(lines: ReadyLines, *, queues: Sequence[str] | None, using: str | None = None) -> Look:
    """Look from the head for lines with ready jobs and put them into ``lines``. One statement, no locks."""
    dialect, connection = open_dialect(using)
    began = time.monotonic()
    seen = dialect.look(connection, queues)
    now = time.monotonic()
    lines.looked(seen.lines, now=now, seconds=now - began)
    return seen


def claim(
    lines: ReadyLines, line: Line, *, limit: int, worker_id: int, using: str | None = None
) -> list[Claim]:
    """Claim up to ``limit`` jobs of one known line for the worker, and remember how far it was read.

    One statement (two on MySQL) that commits on its own outside a transaction. Locks only what it
    takes, and passes over what others hold. A line that comes back short is forgotten until the next
    look finds it again.
    """
    dialect, connection = open_dialect(using)
    after = lines.positions.get(line)
    began = time.monotonic()
    claims = dialect.claim(connection, line, after=after, limit=limit, worker_id=worker_id)
    if after is None:
        now = time.monotonic()
        lines.spent_at_head(now=now, seconds=now - began)
    if claims:
        lines.positions[line] = dialect.position(connection, claims[-1])
    if len(claims) < limit:
        lines.exhausted(line)
    return claims


def claim_in_turn(lines: ReadyLines, *, limit: int, worker_id: int, using: str | None = None) -> list[Claim]:
    """Claim up to ``limit`` jobs from all known lines in their turn."""
    claims: list[Claim] = []
    for line in lines.in_turn():
        wanted = limit - len(claims)
        if wanted > 0:
            claims += claim(lines, line, limit=wanted, worker_id=worker_id, using=using)
    return claims
