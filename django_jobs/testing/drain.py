"""Work off enqueued jobs in the calling thread, inside the caller's transaction."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from asgiref.sync import async_to_sync

from .. import __version__, registry
from ..conf import get_settings
from ..models import Job, Worker
from ..policy.claim_cursors import ClaimCursors
from ..policy.states import State
from ..store.batches.apply_deltas import apply_pending_deltas
from ..store.clock import DatabaseClock
from ..store.lifecycle.claim import Claim, claim_by_priority, refresh_cursors
from ..store.lifecycle.finish import finish
from ..store.lifecycle.progress import save_progress
from ..store.lifecycle.promote import promote
from ..store.lifecycle.run_now import run_now
from ..store.lifecycle.signals import send_signals
from ..store.limits.admit import admit
from ..store.logs import save_log
from ..store.workers import register_worker, set_worker_state
from ..worker.execution.run import arun, run
from ..worker.execution.runtime import CommittedRun, LogUpdate, ProgressUpdate, RunContext

MAX_RUNS = 10_000


@dataclass(slots=True, kw_only=True)
class DrainResult:
    """How many runs ended in which state, and the jobs' ids in the order of their runs."""

    runs: dict[State, int] = field(default_factory=dict)
    job_ids: list[int] = field(default_factory=list)

    @property
    def succeeded(self) -> int:
        """How many runs succeeded."""
        return self.runs.get(State.SUCCEEDED, 0)

    @property
    def dead(self) -> int:
        """How many runs made a dead letter."""
        return self.runs.get(State.DEAD, 0)

    @property
    def retried(self) -> int:
        """How many runs ended with another to come."""
        return self.runs.get(State.SCHEDULED, 0)


def drain(
    *, queues: Sequence[str] | None = None, run_scheduled: bool = False, max_runs: int = MAX_RUNS
) -> DrainResult:
    """Run ready and due jobs, and those they enqueue, until none is left; return what became of them.

    The real engine claims, runs and finishes, one job after another, in this thread and with this
    thread's connection: it works inside ``TestCase``, and what jobs raise is recorded, not raised.
    ``run_scheduled`` runs delayed jobs and retries at once too. More than ``max_runs`` runs raise
    RuntimeError, because a job then enqueues itself for ever.
    """
    settings = get_settings()
    worker_id = register_worker(
        hostname=socket.gethostname(),
        pid=os.getpid(),
        queues=queues,
        concurrency=1,
        version=__version__,
        using=settings.database,
    )
    run_context = RunContext(
        using=settings.database,
        settings=settings,
        clock=DatabaseClock(),
        worker_id=lambda: worker_id,
        send_update=lambda note: _save_note(note, worker_id, settings.database),
        on_log_lines=lambda _: None,
    )
    drained = DrainResult()
    try:
        while (one := _next(run_context, queues=queues, run_scheduled=run_scheduled)) is not None:
            if len(drained.job_ids) == max_runs:
                raise RuntimeError(f"drain() stopped after {max_runs} runs; the last was of {one.name}")
            _run_and_finish(one, run_context, drained)
    finally:
        set_worker_state(worker_id, Worker.State.STOPPED, using=settings.database)
    return drained


def _next(run_context: RunContext, *, queues: Sequence[str] | None, run_scheduled: bool) -> Claim | None:
    """Claim a job; where none is left end the batches that this ends, which else waits for the test's commit."""
    one = _claim_next(run_context, queues=queues, run_scheduled=run_scheduled)
    if one is None and apply_pending_deltas(using=run_context.using):
        one = _claim_next(run_context, queues=queues, run_scheduled=run_scheduled)
    return one


def _claim_next(
    run_context: RunContext, *, queues: Sequence[str] | None, run_scheduled: bool
) -> Claim | None:
    promote(using=run_context.using)
    while admit(using=run_context.using).more:
        pass
    if run_scheduled:
        scheduled = Job.objects.using(run_context.using).filter(state=State.SCHEDULED)
        run_now(
            scheduled if queues is None else scheduled.filter(queue_name__in=queues), using=run_context.using
        )
    lines = ClaimCursors()
    run_context.clock.set(refresh_cursors(lines, queues=queues, using=run_context.using).now)
    claims = claim_by_priority(lines, limit=1, worker_id=run_context.worker_id(), using=run_context.using)
    return claims[0] if claims else None


def _run_and_finish(one: Claim, run_context: RunContext, drained: DrainResult) -> None:
    definition = registry.find(one.name)
    is_async = definition is not None and definition.is_async
    run_ended = async_to_sync(arun)(one, run_context) if is_async else run(one, run_context)
    if isinstance(run_ended, CommittedRun):
        ended = run_ended.ended
    else:
        ended = (
            run_ended
            if finish([run_ended], worker_id=run_context.worker_id(), using=run_context.using)
            else None
        )
    drained.job_ids.append(one.job_id)
    if ended is not None:
        state = ended.decision.state
        drained.runs[state] = drained.runs.get(state, 0) + 1
        send_signals([ended], using=run_context.using)


def _save_note(note: ProgressUpdate | LogUpdate, worker_id: int, using: str) -> None:
    if isinstance(note, LogUpdate):
        save_log(note.claim, note.lines(), worker_id=worker_id, using=using)
        return
    save_progress(note.claim, note.fields, worker_id=worker_id, using=using)
