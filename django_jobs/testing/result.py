"""The result of a drain: how the runs ended, their jobs and their errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ..models import Job
from ..policy.states import State
from ..worker.execution.errors import describe_exception

_WORDS = {
    State.SUCCEEDED: "succeeded",
    State.DEAD: "dead",
    State.SCHEDULED: "to be retried",
    State.CANCELLED: "cancelled",
}


class EndedRun(NamedTuple):
    """A run that is saved. ``state`` is None if its claim was lost; ``raised``: what the function raised, if anything.

    ``errors`` are its failures: what it raised, unless that steers the engine, and what its hooks raised. ``outermost``
    is to be kept with them.
    """

    state: State | None
    raised: BaseException | None
    errors: list[BaseException]
    outermost: object = None


@dataclass(slots=True, kw_only=True, repr=False)
class Drained:
    """How the runs of a drain ended; its text shows the first error with its traceback.

    ``runs``: number of runs by the state that each led to. ``job_ids`` and ``jobs``: of each run, in their order; the
    rows are those at the end of the drain. ``errors``: the exceptions of the runs that failed, each with a note that
    names the job and the attempt. A job's request for a later attempt (``Retry``, ``Snooze``) or its end (``Cancel``)
    is no error.
    """

    runs: dict[State, int] = field(default_factory=dict)
    job_ids: list[int] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    _kept: list[object] = field(default_factory=list)

    def add(self, job_id: int, run: EndedRun) -> None:
        """Add a run."""
        self.job_ids.append(job_id)
        if run.errors:
            self.errors += run.errors
            self._kept.append(run.outermost)
        if run.state is not None:
            self.runs[run.state] = self.runs.get(run.state, 0) + 1

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
        """Number of runs after which the job is scheduled to run again."""
        return self.runs.get(State.SCHEDULED, 0)

    def __repr__(self) -> str:
        """Show the counts, and the first traceback last: pytest cuts a long text in its middle."""
        counts = ", ".join(f"{number} {_WORDS.get(state, state.value)}" for state, number in self.runs.items())
        text = f"<drained: {counts or 'no runs'}>"
        if not self.errors:
            return text
        number = len(self.errors)
        which = "its error" if number == 1 else f"the first of {number} errors"
        return f"{text[:-1]}; {which}:>\n{describe_exception(self.errors[0], job_name='').traceback.rstrip()}"
