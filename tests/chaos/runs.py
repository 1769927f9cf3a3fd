"""Jobs by name, runs by key: what the audit compares."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from django_jobs.models import Job

from .records import Facts, Run


def named(facts: Facts, kind: Any) -> list[Job]:
    return [job for job in facts.jobs.values() if job.name == kind.name]


def sure_runs(facts: Facts) -> list[Run]:
    """Return the runs of jobs that never lost a claim: a zombie runs beside the job's next run, rightly.

    A run that was forgotten by a server that crashed has no attempt.
    """
    begun = Counter(run.job_id for run in facts.runs)
    attempts = Counter(attempt.job_id for attempt in facts.attempts)
    lost = {attempt.job_id for attempt in facts.attempts if attempt.outcome in {"lost", "released"}}
    return [
        run
        for run in facts.runs
        if run.job_id not in lost and begun[run.job_id] == attempts[run.job_id] and run.ended is not None
    ]


def runs_by_key(facts: Facts, names: Collection[str]) -> dict[str, list[Run]]:
    """Return the sure runs of jobs of these names."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in sure_runs(facts):
        if facts.jobs[run.job_id].name in names:
            found[run.key].append(run)
    return found


def most_at_once(runs: Iterable[Run]) -> int:
    """Return how many of the runs were under way at the worst moment."""
    moments = sorted(moment for run in runs for moment in ((run.ended or 0.0, -1), (run.began, 1)))
    most = number = 0
    for _, change in moments:
        number += change
        most = max(most, number)
    return most
