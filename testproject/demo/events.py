"""Say in a line each what has happened to jobs: a try that failed, a snooze, a death."""

from __future__ import annotations

from django_jobs.models import Attempt
from django_jobs.policy.outcomes import AttemptOutcome

from .snapshot import seconds_until

_STYLES = {
    AttemptOutcome.FAILED: "yellow",
    AttemptOutcome.SNOOZED: "cyan",
    AttemptOutcome.DISCARDED: "red",
}
MOST_CHARACTERS = 90


class Events:
    """Remembers which tries it has told of."""

    def __init__(self) -> None:
        self._last = 0

    def take(self) -> list[tuple[str, str]]:
        """Return ``(text, style)`` for every try that has ended since the last call, but not well."""
        tries = Attempt.objects.filter(pk__gt=self._last).select_related("job").order_by("pk")
        told = []
        for one in tries:
            self._last = one.pk
            if one.outcome != AttemptOutcome.SUCCEEDED:
                told.append((_line(one), _STYLES.get(AttemptOutcome(one.outcome), "red")))
        return told


def short(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return the first line of ``text``, cut."""
    line = text.partition("\n")[0]
    return line if len(line) <= most else f"{line[: most - 3]}..."


def plain_name(job_name: str) -> str:
    """Return a job's name without its module."""
    return job_name.rpartition(".")[2]


def _line(one: Attempt) -> str:
    job = one.job
    what = f"{plain_name(job.name)} #{job.pk}"
    match one.outcome:
        case AttemptOutcome.SNOOZED:
            return f"{what} snoozes for {seconds_until(job.run_after):.1f} s, no try used"
        case AttemptOutcome.DISCARDED:
            return f"{what} is dead at once: {short(one.error_message)}"
        case AttemptOutcome.LOST:
            return f"{what} was lost, try {one.number} of {job.max_attempts}: {short(one.error_message)}"
    after = f"{what} failed, try {one.number} of {job.max_attempts}"
    if one.number >= job.max_attempts:
        return f"{after}, and is a dead letter now: {short(one.error_message)}"
    return f"{after}, again in {seconds_until(job.run_after):.1f} s: {short(one.error_message)}"
