"""What a limit program can do, and the two loops around it: work off all, and serve what comes.

The same durable work as the engine's: a row a job with its arguments as JSON, found by an index of ready
jobs, fenced by worker and claim number, and a row a try written with the finish. Claims may commit
without waiting for the disk, inserts and finishes may not.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from queue import Queue
from typing import Any, NamedTuple, Protocol

from ..queue_names import QUEUE

BATCH = 500
DELETED_BATCH = 50
"""A crash loses what was deleted and has not run, so nobody takes out many at once."""
WORKER_ID = 1
POLL_SECONDS = 0.005
"""How often a limit program that nothing can wake looks for work."""
IDLE_SECONDS = 5.0
"""How often one looks that is woken by a notification."""
BATCHES_AHEAD = 4


class Row(NamedTuple):
    """A claimed job. ``ready_at`` is whatever the driver gives."""

    job_id: int
    claim_number: int
    ready_at: Any
    arguments: Any


class Done(NamedTuple):
    """A claimed job that has run; instants are seconds since the epoch by the database's clock."""

    row: Row
    started: float
    finished: float


class Limit(Protocol):
    """One database's program: statements as fast as its driver sends them."""

    pipelined: bool
    """True where claiming in a second thread, on a connection of its own, is faster."""

    def insert(self, arguments: str) -> None:
        """Insert one job (JSON text), commit durably, and wake ``wait``."""

    def insert_many(self, arguments: Sequence[str]) -> None:
        """Insert many in one transaction."""

    def claim(self, after: Row | None, number: int) -> list[Row]:
        """Take up to ``number`` ready jobs behind ``after``, in order."""

    def claim_by_deleting(self, number: int) -> list[Row] | None:
        """Take up to ``number`` ready jobs out of the table, durably, in order; None where no statement does that."""

    def finish(self, done: Sequence[Done]) -> None:
        """Save that these succeeded, and a try for each, durably."""

    def wait(self) -> None:
        """Wait until there may be work."""

    def clock_offset(self) -> float:
        """Return how many seconds the database's clock is ahead of this host's."""

    def delays(self) -> list[float]:
        """Return the seconds from enqueue to start of all that have run."""

    def close(self) -> None:
        """Close the connections and drop the tables."""


def noop(x: int) -> None:
    """Do nothing."""


def drain(limit: Limit, number: int | None, *, batch: int = BATCH) -> list[tuple[float, int]]:
    """Work off ``number`` jobs, or all; return (monotonic seconds, jobs finished with it) of each commit.

    In front of them stands the start of the first job, with no job finished.
    """
    stamps: list[tuple[float, int]] = []
    offset = limit.clock_offset()
    batches = _claims(limit, number, batch)
    for rows in _ahead(batches) if limit.pipelined and batch > 1 else batches:
        if not stamps:
            stamps.append((time.monotonic(), 0))
        limit.finish([_run(row, offset) for row in rows])
        stamps.append((time.monotonic(), len(rows)))
    return stamps


def drain_by_deleting(limit: Limit, number: int) -> float | None:
    """Work off ``number`` jobs of which nothing is kept; return the seconds, None where no statement does that."""
    began = time.monotonic()
    while number > 0:
        rows = limit.claim_by_deleting(DELETED_BATCH)
        if rows is None:
            return None
        if not rows:
            raise RuntimeError(f"the limit program found no more jobs in queue {QUEUE}; {number} are missing")
        for row in rows:
            _run(row, 0.0)
        number -= len(rows)
    return time.monotonic() - began


def serve(limit: Limit, number: int) -> None:
    """Run ``number`` jobs as they come, waiting where there is none."""
    offset = limit.clock_offset()
    while number > 0:
        rows = limit.claim(None, BATCH)
        if rows:
            limit.finish([_run(row, offset) for row in rows])
            number -= len(rows)
        else:
            limit.wait()


def _run(row: Row, offset: float) -> Done:
    started = time.time() + offset
    arguments = json.loads(row.arguments) if isinstance(row.arguments, str) else row.arguments
    noop(**arguments)
    return Done(row, started, time.time() + offset)


def _claims(limit: Limit, number: int | None, batch: int) -> Iterator[list[Row]]:
    """Claim from a remembered position: the head of the index fills with dead entries under an old snapshot."""
    after: Row | None = None
    left = sys.maxsize if number is None else number
    while left > 0:
        rows = limit.claim(after, min(batch, left))
        if not rows:
            if number is None:
                return
            raise RuntimeError(f"the limit program found no more jobs in queue {QUEUE}; {left} are missing")
        after = rows[-1]
        left -= len(rows)
        yield rows


def _ahead(batches: Iterator[list[Row]]) -> Iterator[list[Row]]:
    """Draw from ``batches`` in a thread, a few ahead."""
    ready: Queue[list[Row] | BaseException | None] = Queue(maxsize=BATCHES_AHEAD)

    def draw() -> None:
        try:
            for batch in batches:
                ready.put(batch)
            ready.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the other thread
            ready.put(error)

    threading.Thread(target=draw, name="limit-claimer", daemon=True).start()
    while (batch := ready.get()) is not None:
        if isinstance(batch, BaseException):
            raise batch
        yield batch
