"""The jobs of one call, and their runs: a run is made only for a job that needs one.

::

    claim -> is_plain?  yes: its argument is read, with those of all others in one go
                        no:  prepared by the steps of run.py, which may end it before the call
    after the call      a plain job that nobody touched has succeeded: the end of all such jobs costs no step of run.py
                        any other has its run, made when its context was asked for, or now
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ... import registry
from ...arguments.serialization import TAG
from ...chunks import ChunkItem
from ...context import JobContext
from ...exceptions import LimitKeyError
from ...policy.chunks import ARGUMENT
from ...policy.decide import SUCCEEDED_WITHOUT_RESULT
from ...policy.flags import JobFlag
from ...store.dialects.base.jobs import Claim, FinishedRun
from ...store.lifecycle.end_log import logs_successes
from ...store.lifecycle.signals import is_start_announced
from ..system.forked_copies import end_copy_since, fork_count
from .run import look_up
from .runtime import Run, RunContext

logger = logging.getLogger("django_jobs.worker")

_CHECKED_AT_START = int(JobFlag.CANCEL_REQUESTED | JobFlag.EXPIRES)


class ChunkCall:
    """The ``claims`` of the jobs that are called together, with an item each, and the runs made so far, by job id."""

    __slots__ = ("_context", "_forks", "_is_over", "_open_context", "_runs", "_started", "claims", "items")

    def __init__(self, context: RunContext) -> None:
        self.claims: list[Claim] = []
        self.items: list[ChunkItem[Any]] = []
        self._context = context
        self._forks = fork_count()
        self._is_over = False
        self._runs: dict[int, Run] = {}
        self._started = context.clock.seconds()
        self._open_context: Callable[[Claim], JobContext] = lambda claim: self.run_of(claim).job

    def new_run(self, claim: Claim) -> Run:
        """Return the run of a claim, without its definition and context."""
        return Run(claim, self._context, self._started, forks=self._forks)

    def add(self, run: Run) -> None:
        """Add a job that was prepared for the call."""
        self._runs[run.claim.job_id] = run
        self.claims.append(run.claim)
        self.items.append(ChunkItem(run.args[0], run.job))

    def add_plain(self, claim: Claim, argument: Any) -> None:
        """Add a plain job."""
        self.claims.append(claim)
        self.items.append(ChunkItem(argument, self._open_context, claim))

    def first_run(self) -> Run:
        """Return the run as which the function is called; from now on all runs have been called."""
        first = self.run_of(self.claims[0])
        first.args, first.kwargs = [self.items], {}
        first.job.chunk = self.items
        for run in self._runs.values():
            run.is_called = True
        return first

    def run_of(self, claim: Claim) -> Run:
        """Return the run of a job, made now if it is plain and nobody has touched it."""
        run = self._runs.get(claim.job_id)
        if run is None:
            run = self.new_run(claim)
            look_up(run)  # finds the definition and reads the metadata: a plain job has none
            run.is_called = True
            run = self._runs.setdefault(claim.job_id, run)
            if self._is_over:
                run.end_log()  # of an item that the function has kept: its job has ended without lines
        return run

    def all_runs(self) -> list[Run]:
        """Return the run of each job."""
        return [self.run_of(claim) for claim in self.claims]

    def plain_ends(self) -> Iterable[FinishedRun | None]:
        """Return the end of each job after a call that has returned; None of one whose end is to be found out."""
        end_copy_since(self._forks)
        self._is_over = True
        if logs_successes():
            return [None] * len(self.claims)
        finished = max(self._context.clock.seconds(), self._started)
        touched, started = self._runs, self._started
        return [
            FinishedRun(claim, SUCCEEDED_WITHOUT_RESULT, started, finished)
            if item.error is None and item.result is None and claim.job_id not in touched
            else None
            for claim, item in zip(self.claims, self.items, strict=True)
        ]


def plain_arguments(claims: Sequence[Claim]) -> dict[int, Any]:
    """Return the arguments of the plain jobs of a chunk, by job id.

    Plain is a job for which every step before the call would do nothing but read its argument.
    """
    definition = registry.find(claims[0].name)
    if definition is None or definition.context_needs_read or is_start_announced(definition.name):
        return {}
    is_limited = bool(definition.options.limits)
    plain = [
        claim
        for claim in claims
        if not claim.flags & _CHECKED_AT_START
        and claim.metadata == "{}"
        and TAG not in claim.arguments
        and "\\" not in claim.arguments
    ]
    try:
        stored = json.loads(f"[{','.join([claim.arguments for claim in plain])}]")
    except (ValueError, RecursionError):
        return {}
    if len(stored) != len(plain):
        return {}
    return {
        claim.job_id: value[ARGUMENT]
        for claim, value in zip(plain, stored, strict=True)
        if type(value) is dict
        and len(value) == 1
        and ARGUMENT in value
        and (not is_limited or claim.flags & JobFlag.LIMITED or _needs_no_permit(definition, value))
    }


def _needs_no_permit(definition: registry.DefinedJob, arguments: dict[str, Any]) -> bool:
    """Tell whether a job that was enqueued without permits needs none: its limits have no key for it."""
    try:
        return not definition.needs(arguments)
    except LimitKeyError:
        return False
