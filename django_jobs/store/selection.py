"""Targets of operations: one object, an id, a queryset or a filter, as bounded chunks of ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.db.models import Model, Q, QuerySet

from ..conf import get_settings
from ..models import DeadLetter, Job
from ..policy.states import State
from .dialects.shared.by_id import InIds

CHUNK = 1_000

JobTarget = Job | int | QuerySet[Job]
"""A job, its id, or a queryset of jobs."""

DeadLetterTarget = DeadLetter | int | QuerySet[DeadLetter] | Q
"""A dead letter, its id, a queryset of them, or a filter on them."""

Target = JobTarget | DeadLetter | QuerySet[DeadLetter] | Q
"""Jobs, or the jobs of open dead letters. A number is the id of a job."""


def alias_of(target: object, using: str | None) -> str | None:
    """Return ``using``, or else, if jobs are in several databases, the one from which the target was read.

    The number of a row means another row elsewhere.
    """
    if using is not None or not get_settings().has_many_databases:
        return using
    match target:
        case Model():
            return target._state.db
        case QuerySet():
            return target.db
    return None


def job_ids_in_chunks(target: Target, *, states: frozenset[State], using: str) -> Iterator[list[int]]:
    """Yield the ids of the target's jobs in one of ``states``, 1,000 at a time, in order of id.

    Only open dead letters count. The ids are read without locks: the caller checks the state again.
    """
    wanted = [state.value for state in states]
    match target:
        case Job() | int():
            jobs = Job.objects.using(using).filter(pk=target.pk if isinstance(target, Job) else target)
            yield from _chunks(jobs.filter(state__in=wanted), "pk")
        case DeadLetter():
            yield from _chunks(_open(DeadLetter.objects.using(using).filter(pk=target.pk), wanted), "job_id")
        case Q():
            yield from _chunks(_open(DeadLetter.objects.using(using).filter(target), wanted), "job_id")
        case QuerySet() if target.model is Job:
            selected: QuerySet[Any] = target.using(using)
            yield from _chunks(selected if target.query.is_sliced else selected.filter(state__in=wanted), "pk")
        case QuerySet() if target.model is DeadLetter:
            dead_letters: QuerySet[Any] = target.using(using)
            yield from _chunks(dead_letters if target.query.is_sliced else _open(dead_letters, wanted), "job_id")
        case _:
            raise TypeError(
                "expected a Job or its id, a DeadLetter, a queryset of either, or a Q on dead letters; got"
                f" {type(target).__name__}"
            )


def open_dead_letter_ids_in_chunks(target: DeadLetterTarget, *, using: str) -> Iterator[list[int]]:
    """Yield the ids of the target's open dead letters, 1,000 at a time, in order of id; read without locks."""
    match target:
        case DeadLetter() | int():
            pk = target.pk if isinstance(target, DeadLetter) else target
            dead_letters: QuerySet[Any] = DeadLetter.objects.using(using).filter(pk=pk)
        case Q():
            dead_letters = DeadLetter.objects.using(using).filter(target)
        case _:
            dead_letters = target.using(using)
    is_sliced = dead_letters.query.is_sliced
    yield from _chunks(dead_letters if is_sliced else dead_letters.filter(status=DeadLetter.Status.OPEN), "pk")


def _open(dead_letters: QuerySet[DeadLetter], states: list[str]) -> QuerySet[DeadLetter]:
    return dead_letters.filter(status=DeadLetter.Status.OPEN, job__state__in=states)


def _chunks(rows: QuerySet[Any], key: str) -> Iterator[list[int]]:
    """Yield values of ``key`` by keyset, so that rows changed in one chunk do not shift the next."""
    if rows.query.is_sliced:
        ids = list(rows.values_list(key, flat=True))
        for start in range(0, len(ids), CHUNK):
            yield ids[start : start + CHUNK]
        return
    last = 0
    while ids := list(rows.filter(**{f"{key}__gt": last}).order_by(key).values_list(key, flat=True)[:CHUNK]):
        yield ids
        last = ids[-1]


def lock_jobs(ids: Sequence[int], *, states: Collection[State], using: str) -> list[int]:
    """Lock these jobs until the transaction ends; return the ids of those in one of ``states``, in order.

    The statement filters by key alone: with the state in its condition MariaDB scans the index of states and locks
    every row it passes. A SQLite transaction holds the whole file anyway.
    """
    jobs = Job.objects.using(using).filter(InIds("pk", ids)).select_for_update().order_by("pk")
    return [pk for pk, state in jobs.values_list("pk", "state") if state in states]
