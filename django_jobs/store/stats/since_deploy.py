"""Read what has changed since the newest deploy: jobs that fail more often or less, and errors that are new."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import JSONField, QuerySet, Value

from ...models import TypeRollup
from ...policy.deploy_sentences import describe_changes
from ...policy.deploys import (
    COMPARED_FOR,
    FailureChange,
    NewError,
    RunCounts,
    Side,
    compared_from,
    find_changes,
    side_of_deploy,
)
from ...policy.health_sentence import Sentence
from ...policy.type_rollup import OTHER_TYPES
from ..dead_letters.groups import GroupSummary
from ..deploys import DeployedRelease

COMPARED_COLUMNS = (
    "queue_name", "span_seconds", "starts_at", "succeeded", "retried", "dead", "waits", "runs", "waiting", "running",
    "max_waiting",
)  # fmt: skip
"""Columns of Rollup, to whose rows those of TypeRollup can be added in one statement."""
TYPES = ",types"
"""Queue's name of these, which no queue can have."""
MAX_SPAN_SECONDS = 3600
"""Sums of a whole day are not compared."""
KEPT_SECONDS = 60.0
MIN_KEPT_ROWS = 12
"""From so many rows on a process keeps the counts for a minute: a day of 300 types takes 0.1 s of CPU to read."""
OLD_AFTER = timedelta(minutes=30)
RECOUNTED_AFTER = timedelta(minutes=30)
"""Then only sums that began after ``OLD_AFTER`` before the last whole count are read, until the next one.

That is a few rows instead of 66. Attempts that are rolled up later than that are counted half an hour later.
"""

Counts = dict[Side, dict[str, RunCounts]]
"""How many runs of each job ended and failed, before and after a deploy."""


class OldCounts(NamedTuple):
    """Runs of all sums that began before an instant: of those no more is expected.

    Old sums are moved into longer ones, which began before that instant, too: none is counted twice.
    """

    before: datetime
    counts: Counts


class KeptCounts(NamedTuple):
    """Counts of this process; ``counted_at``: seconds of its monotonic clock."""

    deploy: DeployedRelease
    counted_at: float
    counts: Counts
    old: OldCounts


_kept: dict[str, KeptCounts] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class SinceDeploy:
    """The changes since a deploy: jobs that fail more often, or less, and new errors, the latest first."""

    deploy: DeployedRelease
    changes: list[FailureChange]
    new_errors: list[NewError]

    @property
    def sentences(self) -> list[Sentence]:
        """The changes in words."""
        return describe_changes(self.deploy.release, self.deploy.first_seen_at, self.changes, self.new_errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployToCompare:
    """A deploy, and from when on runs before it are compared.

    ``counts``: if they were counted a moment ago. ``old``: what need not be counted again; None if all is counted, and
    kept of what began before ``old_until``.
    """

    deploy: DeployedRelease
    earliest: datetime
    old_until: datetime
    old: OldCounts | None = None
    counts: Counts | None = None

    @property
    def read_from(self) -> datetime:
        """When the first sums begin that are read."""
        return self.earliest if self.old is None else self.old.before


def deploy_to_compare(
    deploys: Sequence[DeployedRelease], *, running: Collection[str], now: datetime, using: str
) -> DeployToCompare | None:
    """Return the newest deploy, the first of ``deploys``, if it can be compared.

    Not if it was more than a day ago, or if ``running``, the releases of the living workers, has others only: it was
    taken back before all workers had it.
    """
    if not deploys or now - deploys[0].first_seen_at > COMPARED_FOR:
        return None
    deploy, known = deploys[0], set(running) - {""}
    if known and deploy.release not in known:
        return None
    previous = next((one.first_seen_at for one in deploys[1:] if one.project == deploy.project), None)
    kept = _recall(deploy, using)
    return DeployToCompare(
        deploy=deploy,
        earliest=compared_from(deploy.first_seen_at, previous),
        old_until=now - OLD_AFTER,
        old=kept.old if kept and now - kept.old.before < OLD_AFTER + RECOUNTED_AFTER else None,
        counts=kept.counts if kept and time.monotonic() - kept.counted_at < KEPT_SECONDS else None,
    )


def with_types(sums: QuerySet[Any, Any], compared: DeployToCompare, *, using: str) -> QuerySet[Any, Any]:
    """Return ``sums``, rows of ``COMPARED_COLUMNS``, and the sums of job types to compare: all in one statement."""
    if compared.counts is not None:
        return sums
    rows = TypeRollup.objects.using(using).filter(starts_at__gte=compared.read_from, span_seconds__lte=MAX_SPAN_SECONDS)
    zero, nothing = Value(0), Value({}, output_field=JSONField())
    types = rows.values_list(
        Value(TYPES), "span_seconds", "starts_at", zero, zero, zero, "types", nothing, zero, zero, zero
    )
    return sums.union(types, all=True)


def compare(
    compared: DeployToCompare, type_sums: Sequence[Sequence[Any]], groups: Iterable[GroupSummary], *, using: str
) -> SinceDeploy:
    """Return what changed. ``type_sums``: the rows of ``with_types``; ``groups``: where new errors are looked for."""
    deployed_at = compared.deploy.first_seen_at
    counts = compared.counts
    if counts is None:
        old = compared.old or _count_old(type_sums, compared)
        recent = _count_runs((row for row in type_sums if row[2] >= old.before), deployed_at)
        counts = _add_counts(old.counts, recent)
        if compared.old is not None or len(type_sums) >= MIN_KEPT_ROWS:
            _kept[using] = KeptCounts(compared.deploy, time.monotonic(), counts, old)
    return SinceDeploy(
        deploy=compared.deploy,
        changes=find_changes(counts[Side.BEFORE], counts[Side.AFTER]),
        new_errors=[
            NewError(group.job_name, group.error_class or group.reason)
            for group in groups
            if group.first_died_at >= deployed_at and group.open > 0 and group.muted_at is None
        ],
    )


def _recall(deploy: DeployedRelease, using: str) -> KeptCounts | None:
    """Return what this process counted last, if that was for this deploy."""
    kept = _kept.get(using)
    return kept if kept is not None and kept.deploy == deploy else None


def _count_old(type_sums: Iterable[Sequence[Any]], compared: DeployToCompare) -> OldCounts:
    """Count the old ones of all sums."""
    old = (row for row in type_sums if row[2] < compared.old_until)
    return OldCounts(compared.old_until, _count_runs(old, compared.deploy.first_seen_at))


def _add_counts(one: Counts, other: Counts) -> Counts:
    """Return the sums of two counts."""
    none = RunCounts(0, 0)
    added: Counts = {}
    for side in Side:
        old, new = one[side], other[side]
        pairs = {name: (old.get(name, none), new.get(name, none)) for name in old | new}
        added[side] = {name: RunCounts(a.ended + b.ended, a.failed + b.failed) for name, (a, b) in pairs.items()}
    return added


def _count_runs(type_sums: Iterable[Sequence[Any]], deployed_at: datetime) -> Counts:
    """Return how many runs of each job ended and failed on both sides of a deploy."""
    ended: dict[Side, Counter[str]] = {side: Counter() for side in Side}
    failed: dict[Side, Counter[str]] = {side: Counter() for side in Side}
    for queue_name, seconds, starts_at, _, _, _, types, *_unused in type_sums:
        side = side_of_deploy(starts_at, timedelta(seconds=seconds), deployed_at)
        if queue_name == TYPES and side is not None:
            for name, (succeeded, retried, dead, *_durations) in types.items():
                ended[side][name] += succeeded + retried + dead
                failed[side][name] += retried + dead
    return {
        side: {
            name: RunCounts(number, failed[side][name]) for name, number in ended[side].items() if name != OTHER_TYPES
        }
        for side in Side
    }
