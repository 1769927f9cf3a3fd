"""Run enqueued jobs in the calling thread, inside the caller's transaction."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field

from asgiref.sync import async_to_sync
from django.db import connections

from .. import __version__, registry
from ..conf import get_settings
from ..models import Job, Worker
from ..policy.claim_cursors import ClaimCursors
from ..policy.states import State
from ..store.batches.apply_deltas import apply_pending_deltas
from ..store.dialects.base.jobs import Claim, FinishedRun
from ..store.lifecycle.claim import claim_by_priority, refresh_cursors
from ..store.lifecycle.finish import bound_interruptions, finish
from ..store.lifecycle.progress import save_progress
from ..store.lifecycle.promote import promote
from ..store.lifecycle.run_now import run_now
from ..store.lifecycle.signals import send_signals
from ..store.limits.admit import admit
from ..store.logs import save_log
from ..store.workers import register_worker, set_worker_state
from ..worker.execution.atomic import resolve_commits
from ..worker.execution.events import CommittedRun, LogUpdate, ProgressUpdate
from ..worker.execution.run import aexecute, execute
from ..worker.execution.runtime import RunContext
from ..worker.threads.sessions import keep_settings

MAX_RUNS = 10_000


@dataclass(slots=True, kw_only=True)
class DrainResult:
    """Number of runs by their resulting state, and the job ids in the order of the runs."""

    runs: dict[State, int] = field(default_factory=dict)
    job_ids: list[int] = field(default_factory=list)

    @property
    def succeeded(self) -> int:
        """Number of runs that succeeded."""
        return self.runs.get(State.SUCCEEDED, 0)

    @property
    def dead(self) -> int:
        """Number of runs that made a dead letter."""
        return self.runs.get(State.DEAD, 0)

    @property
    def retried(self) -> int:
        """Number of runs that will be retried."""
        return self.runs.get(State.SCHEDULED, 0)


def drain(*, queues: Sequence[str] | None = None, run_scheduled: bool = False, max_runs: int = MAX_RUNS) -> DrainResult:
    """Run ready and due jobs, and those they enqueue, until none is left; return how they ended.

    The real engine claims, runs and finishes, one job after another, in this thread and with this
    thread's connection: it works inside ``TestCase``, and exceptions of jobs are recorded, not raised. As in a worker,
    each job has a context of its own: language, time zone and context variables of the test do not reach it.
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
    events = _SaveAtOnce(worker_id, settings.database)
    context = RunContext(settings=settings, events=events, worker_id=worker_id, log_saver=None)
    drained = DrainResult()
    try:
        while (claim := _next(context, queues=queues, run_scheduled=run_scheduled)) is not None:
            if len(drained.job_ids) == max_runs:
                raise RuntimeError(f"drain() stopped after {max_runs} runs; the last was of {claim.name}")
            _run_and_finish(claim, context, drained)
    finally:
        set_worker_state(worker_id, Worker.State.STOPPED, using=settings.database)
    return drained


class _SaveAtOnce:
    """RunEvents that are saved in the calling thread."""

    def __init__(self, worker_id: int, using: str) -> None:
        self._worker_id = worker_id
        self._using = using

    def progress(self, update: ProgressUpdate | LogUpdate) -> None:
        """Save an update now."""
        if isinstance(update, LogUpdate):
            save_log(update.claim, update.lines(), worker_id=self._worker_id, using=self._using)
        else:
            save_progress(update.claim, update.fields, worker_id=self._worker_id, using=self._using)


def _next(context: RunContext, *, queues: Sequence[str] | None, run_scheduled: bool) -> Claim | None:
    """Claim a job; if none is left, complete finished batches, which would otherwise wait for the test's commit."""
    claim = _claim_next(context, queues=queues, run_scheduled=run_scheduled)
    if claim is None and apply_pending_deltas(using=context.using):
        claim = _claim_next(context, queues=queues, run_scheduled=run_scheduled)
    return claim


def _claim_next(context: RunContext, *, queues: Sequence[str] | None, run_scheduled: bool) -> Claim | None:
    using = context.using
    promote(using=using)
    while admit(using=using).more:
        pass
    if run_scheduled:
        scheduled = Job.objects.using(using).filter(state=State.SCHEDULED)
        run_now(scheduled if queues is None else scheduled.filter(queue_name__in=queues), using=using)
    cursors = ClaimCursors()
    context.clock.set(refresh_cursors(cursors, queues=queues, using=using).now)
    claims = claim_by_priority(cursors, limit=1, worker_id=context.worker_id, using=using)
    return claims[0] if claims else None


def _run_and_finish(claim: Claim, context: RunContext, drained: DrainResult) -> None:
    definition = registry.find(claim.name)
    is_async = definition is not None and definition.is_async
    with keep_settings(connections[context.using]) as restore_settings:
        if is_async:
            ended: list[FinishedRun | CommittedRun] = []
            with suppress(GeneratorExit):  # the job's, which is reported
                Context().run(async_to_sync(aexecute), claim, context, ended.append)
            run = ended[0]
        else:
            run = Context().run(execute, claim, context)
        restore_settings()
    if isinstance(run, CommittedRun) and run.otherwise is not None:
        _, otherwise = resolve_commits([run], worker_id=context.worker_id, using=context.using)
        run = otherwise[0] if otherwise else run
    if isinstance(run, CommittedRun):
        finished = run.finished
    else:
        (run,) = bound_interruptions([run], using=context.using)
        saved = finish([run], worker_id=context.worker_id, using=context.using)
        finished = run if saved else None
    drained.job_ids.append(claim.job_id)
    if finished is not None:
        state = finished.decision.state
        drained.runs[state] = drained.runs.get(state, 0) + 1
        send_signals([finished], using=context.using)
