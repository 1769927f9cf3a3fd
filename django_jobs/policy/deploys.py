"""Compare the runs before and after a deploy: which jobs fail more often now, or less, and not by chance.

A change is told if all of this holds:

- at least 20 runs of the job ended on each side, and at least 5 of them failed on the side that fails more;
- the share that failed changed by at least one percentage point, and by half: 1.5 times as often, or two thirds;
- runs that all fail by the same chance would differ so much in less than one of 1,000 comparisons (Fisher's exact test,
  one-sided, 0.001 divided by the number of jobs that are compared, after Bonferroni).

Runs that fail together, because a service is down for a minute, are not independent, and no test of two sums knows
that. So the second condition leaves out what is small, and the first what is few.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import Enum, auto
from math import exp, lgamma
from typing import NamedTuple, Protocol, TypeVar

COMPARED_FOR = timedelta(days=1)
"""How long after a deploy it is compared."""
MAX_BEFORE = timedelta(days=1)
MIN_BEFORE = timedelta(hours=1)
"""A deploy is compared with the time since the deploy before it, but at most and at least so much."""

MIN_RUNS = 20
MIN_FAILED = 5
MIN_DIFFERENCE = 0.01
MIN_RATIO = 1.5
MAX_CHANCE = 0.001


class Deployed(Protocol):
    """A deploy."""

    @property
    def project(self) -> str:
        """The project that was deployed."""

    @property
    def first_seen_at(self) -> datetime:
        """When its first worker started."""


D = TypeVar("D", bound=Deployed)

_FULL_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def deploy_of_error(first_seen_at: datetime, deploys: Iterable[D]) -> D | None:
    """Return the deploy since which an error is new: the newest of its project, and before the error came.

    ``deploys`` are the newest first. Of several projects, the latest such deploy.
    """
    projects: set[str] = set()
    for deploy in deploys:
        if deploy.project not in projects and deploy.first_seen_at <= first_seen_at:
            return deploy
        projects.add(deploy.project)
    return None


def short_release(release: str) -> str:
    """Return a release for a narrow column: of the SHA of a commit the first seven digits, as Git writes it."""
    return release[:7] if _FULL_SHA.fullmatch(release) else release


class Side(Enum):
    """Before a deploy, or after it."""

    BEFORE = auto()
    AFTER = auto()


class RunCounts(NamedTuple):
    """Runs that ended, and how many of them failed."""

    ended: int
    failed: int

    @property
    def share(self) -> float:
        """The part that failed."""
        return self.failed / self.ended if self.ended else 0.0


class FailureChange(NamedTuple):
    """A job that fails more often since a deploy, or less."""

    job_name: str
    before: RunCounts
    after: RunCounts

    @property
    def is_worse(self) -> bool:
        """True if it fails more often."""
        return self.after.share > self.before.share


class NewError(NamedTuple):
    """An error of which jobs have died since a deploy, and none before. ``error``: its class, else the reason."""

    job_name: str
    error: str


def compared_from(deployed_at: datetime, previous_at: datetime | None) -> datetime:
    """Return from when on runs before a deploy are compared; ``previous_at``: the deploy before it, if it is known."""
    if previous_at is None:
        return deployed_at - MAX_BEFORE
    return max(deployed_at - MAX_BEFORE, min(previous_at, deployed_at - MIN_BEFORE))


def side_of_deploy(starts_at: datetime, span: timedelta, deployed_at: datetime) -> Side | None:
    """Return on which side of a deploy a span of sums is; None for the one in which it was deployed."""
    if starts_at + span <= deployed_at:
        return Side.BEFORE
    return Side.AFTER if starts_at >= deployed_at else None


def find_changes(before: Mapping[str, RunCounts], after: Mapping[str, RunCounts]) -> list[FailureChange]:
    """Return the jobs whose share of failures has changed by more than chance; the worst first."""
    compared = [
        FailureChange(name, before[name], counts)
        for name, counts in after.items()
        if name in before and min(counts.ended, before[name].ended) >= MIN_RUNS
    ]
    changes = [change for change in compared if _is_large(change) and _chance(change) < MAX_CHANCE / len(compared)]
    return sorted(changes, key=lambda change: (change.before.share - change.after.share, change.job_name))


def _is_large(change: FailureChange) -> bool:
    less, more = sorted((change.before, change.after), key=lambda counts: counts.share)
    return (
        more.failed >= MIN_FAILED and more.share - less.share >= MIN_DIFFERENCE and more.share >= MIN_RATIO * less.share
    )


def _chance(change: FailureChange) -> float:
    """Return how likely the side that fails more would have so many of all failures, or more, by chance alone."""
    less, more = sorted((change.before, change.after), key=lambda counts: counts.share)
    ended, failed = less.ended + more.ended, less.failed + more.failed
    part = exp(
        _log_choices(more.ended, more.failed) + _log_choices(less.ended, less.failed) - _log_choices(ended, failed)
    )
    total, number = part, more.failed
    while number < min(failed, more.ended) and part > total * 1e-12:
        # The part of one failure more: a ratio of binomial coefficients.
        part *= (more.ended - number) * (failed - number) / ((number + 1) * (less.ended - failed + number + 1))
        total += part
        number += 1
    return total


def _log_choices(number: int, chosen: int) -> float:
    return lgamma(number + 1) - lgamma(chosen + 1) - lgamma(number - chosen + 1)
