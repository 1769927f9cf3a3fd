"""Which rows a staff verb works on: from one object, a queryset or a filter to bounded chunks of ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.db.models import Q, QuerySet

from ..models import DeadLetter, Job
from ..policy.states import State
from .dialects.shared.by_id import InIds

CHUNK = 1_000

Target = Job | DeadLetter | QuerySet[Job] | QuerySet[DeadLetter] | Q
"""One job, one letter, a queryset of either, or a filter on dead letters."""

DeadLetterTarget = DeadLetter | QuerySet[DeadLetter] | Q
"""One letter, a queryset of them, or a filter on them."""


def job_ids_in_chunks(target: Target, *, states: frozenset[State], using: str) -> Iterator[list[int]]:
    """Yield the ids of the target's jobs that are in one of ``states``, 1,000 at a time, by key.

    Of dead letters only open ones count. The ids are read without locks: whoever writes guards by
    state again.
    """
    wanted = [state.value for state in states]
    match target:
        case Job():
            yield from _chunks(Job.objects.using(using).filter(pk=target.pk, state__in=wanted), "pk")
        case DeadLetter():
            yield from _chunks(_open(DeadLetter.objects.using(using).filter(pk=target.pk), wanted), "job_id")
        case Q():
            yield from _chunks(_open(DeadLetter.objects.using(using).filter(target), wanted), "job_id")
        case QuerySet() if target.model is Job:
            jobs: QuerySet[Any] = target.using(using)
            yield from _chunks(jobs if target.query.is_sliced else jobs.filter(state__in=wanted), "pk")
        case QuerySet() if target.model is DeadLetter:
            letters: QuerySet[Any] = target.using(using)
            yield from _chunks(letters if target.query.is_sliced else _open(letters, wanted), "job_id")
        case _:
            raise TypeError(
                "expected a Job, a DeadLetter, a queryset of either, or a Q on dead letters; got"
                f" {type(target).__name__}"
            )


def open_dead_letter_ids_in_chunks(target: DeadLetterTarget, *, using: str) -> Iterator[list[int]]:
    """Yield the ids of the target's open letters, 1,000 at a time, by key; read without locks."""
    match target:
        case DeadLetter():
            letters: QuerySet[Any] = DeadLetter.objects.using(using).filter(pk=target.pk)
        case Q():
            letters = DeadLetter.objects.using(using).filter(target)
        case _:
            letters = target.using(using)
    yield from _chunks(
        letters if letters.query.is_sliced else letters.filter(status=DeadLetter.Status.OPEN), "pk"
    )


def _open(letters: QuerySet[DeadLetter], states: list[str]) -> QuerySet[DeadLetter]:
    return letters.filter(status=DeadLetter.Status.OPEN, job__state__in=states)


def _chunks(rows: QuerySet[Any], key: str) -> Iterator[list[int]]:
    """Yield values of ``key`` by keyset, so that rows which a chunk has changed do not shift the next."""
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
    """Lock the jobs of these ids until the transaction ends; return, in order, those in one of ``states``.

    Looked up by key alone: with the state in the condition MariaDB walks the index of states and
    locks whatever it passes. SQLite's transaction holds the whole file anyway.
    """
    jobs = Job.objects.using(using).filter(InIds("pk", ids)).select_for_update().order_by("pk")
    return [pk for pk, state in jobs.values_list("pk", "state") if state in states]
