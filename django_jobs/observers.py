"""Observers of runs: what a kind of job does when its runs start and end, from the values at hand.

A signal of ``signals`` costs a statement, because it carries the job's row; an observer is given what the worker has.
Listeners are told of all runs and ticks, in batches, to count them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

logger = logging.getLogger("django_jobs.worker")


class RunObserver(Protocol):
    """Receives the starts and ends of runs of a job. What it raises is logged.

    A process that dies between a commit and its report reports nothing.
    """

    def may_block(self) -> bool:
        """Tell whether ``run_started`` may use the database: not to be called in an event loop then."""

    def is_told_of_end(self, run: Any) -> bool:
        """Tell whether ``run_ended`` is to be called for this end, a ``FinishedRun``."""

    def run_started(self, run: Any) -> None:
        """A worker is about to call the function, in this thread. ``run``: a ``StartedRun``."""

    def run_ended(self, run: Any, *, worker_id: int) -> None:
        """An end of which it wants to be told is committed. A rescued claim has no arguments."""

    def job_cancelled(self, job: Any) -> None:
        """The cancellation of a ``Job`` that waited is committed."""


observers: dict[str, RunObserver] = {}
"""The observers, by the names of jobs."""

finders: list[Callable[[str], object]] = []
"""Functions of a job's name which make its observer known, where this process has not come to know the job."""


def find_observer(name: str) -> RunObserver | None:
    """Return the observer of a job that this process may not know yet: it runs elsewhere, and is cancelled here."""
    if name not in observers:
        for find in finders:
            find(name)
    return observers.get(name)


class Listener(Protocol):
    """Counts runs and ticks, in the thread that has saved them: it uses no database and returns at once.

    ``current_database()`` is theirs.
    """

    def runs_ended(self, runs: Sequence[Any]) -> None:
        """The ends of these runs, each a ``FinishedRun``, are committed."""

    def ticks_decided(self, numbers: Mapping[str, int]) -> None:
        """These numbers of ticks, by outcome, are committed."""


listeners: list[Listener] = []
"""Listeners of this process."""


def tell_runs_ended(runs: Sequence[Any]) -> None:
    """Tell the listeners of ends that are committed, each once."""
    for listener in listeners:
        try:
            listener.runs_ended(runs)
        except Exception:
            logger.exception("the listener %r failed", listener)


def tell_ticks_decided(numbers: Mapping[str, int]) -> None:
    """Tell the listeners of ticks that are committed, each once."""
    for listener in listeners:
        try:
            listener.ticks_decided(numbers)
        except Exception:
            logger.exception("the listener %r failed", listener)
