"""Which jobs run in a process of their own: all of them, or those that a worker may not survive."""

from __future__ import annotations

from ...policy.decide import DecisionSettings
from ...store.dialects.base.jobs import Claim
from ..execution.runtime import RunContext
from ..options import PROCESSES, WorkerOptions
from .job_process import JobProcess


class Isolation:
    """``isolates_all``: with ``--pool processes``; otherwise only what was there when other workers died.

    A suspect dies alone then: no neighbour's worker deaths are counted for its doing.
    """

    def __init__(self, options: WorkerOptions, rules: DecisionSettings) -> None:
        self.isolates_all = options.pool == PROCESSES
        self._options = options
        self._rules = rules

    def isolates(self, claim: Claim) -> bool:
        """Tell whether a claimed job is to run in a process of its own."""
        return self.isolates_all or self._rules.needs_isolation(claim.worker_deaths)

    def job_process(self, run_context: RunContext) -> JobProcess:
        """Return a slot for one job at a time; it has no process yet, and keeps one only where all jobs need it."""
        return JobProcess(self._options, run_context, keeps_process=self.isolates_all)
