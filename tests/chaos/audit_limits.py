"""Promises of limits: see ``audit``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from django_jobs.policy.limits import LimitKind, PermitPhase

from . import jobs as kinds
from .records import Facts
from .runs import most_at_once, runs_by_key


def limits_hold(facts: Facts) -> Iterator[str]:
    for kind_names, limit in (
        ((kinds.narrow.name, kinds.narrow_on_loop.name), kinds.NARROW.limit),
        ((kinds.limited_by_all.name,), 1),
        ((kinds.ordered.name,), 1),
        ((kinds.capped.name,), kinds.CAP),
    ):
        for key, runs in runs_by_key(facts, kind_names).items():
            if (number := most_at_once(runs)) > limit:
                yield f"{kind_names[0]}, key {key!r}: {number} at once, allowed are {limit}"


def rates_hold(facts: Facts) -> Iterator[str]:
    seconds = kinds.RATE.per.total_seconds()
    for kind in (kinds.rated, kinds.limited_by_all):
        for key, runs in runs_by_key(facts, (kind.name,)).items():
            begun = sorted(run.began for run in runs)
            for first, later in zip(begun, begun[kinds.RATE.count :], strict=False):
                if later - first < seconds:
                    yield f"{kind.name}, key {key}: {kinds.RATE.count + 1} began within {later - first:.3f} s"


def orderings_hold(facts: Facts) -> Iterator[str]:
    """Jobs of a key begin in the order of their ids; those of graphs, which are blocked at first, are left out."""
    for kind in (kinds.ordered, kinds.limited_by_all):
        for key, runs in runs_by_key(facts, (kind.name,)).items():
            if key == "graph":
                continue
            for run, later in pairwise(sorted(runs, key=lambda run: run.began)):
                if later.job_id < run.job_id:
                    yield f"{kind.name}, key {key}: job {later.job_id} began after job {run.job_id}"


def no_permit_is_left(facts: Facts) -> Iterator[str]:
    """But those that a redrive of a dead job will need, and those that cool down."""
    limits = {limit.pk for limit in facts.limits}
    for permit in facts.permits:
        job = facts.jobs.get(permit.job_id)
        if permit.limit_id not in limits or job is None:
            yield f"{permit}: without a limit or a job ({job})"
        elif not (
            (permit.phase == PermitPhase.ASLEEP and job.state == "dead")
            or (permit.phase == PermitPhase.COOLING and permit.kind == LimitKind.RATE)
        ):
            yield f"{permit}, which is {job.state}"
    if facts.limit_signals:
        yield f"{len(facts.limit_signals)} signals are left"


def no_breaker_is_open(facts: Facts) -> Iterator[str]:
    """The last run of each key has succeeded."""
    for limit in facts.limits:
        if limit.kind == LimitKind.BREAKER and limit.is_tripped:
            yield str(limit)
