"""Resolve a whole group of dead letters, or undo that.

::

    1  up_to = the newest open dead letter;  at = now
    2  close the open dead letters up to it, 1,000 per transaction
    3  lock the group; record at and by; if one is open: regressed_at

A death that commits during any step, and is not closed, is found: step 3 sees it, or it commits later, and the rollup,
which needs the group's lock, sees the resolution (``regressions``). Until then pages see it, because the number of open
dead letters is exact at every commit. A process that is killed between the steps leaves closed dead letters without a
record; resolving again adds it.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import NamedTuple

from django.db.models import Exists, OuterRef, Q

from ...models import DeadLetter, DeadLetterGroup
from ...models.base import MAX_ACTOR_LENGTH
from ...policy.group_states import first_regression
from ...policy.states import State
from ..clock import database_now
from ..dialects import open_dialect
from ..selection import lock_jobs
from ..transactions import latest_rows, retry_on_conflict, savepoint
from .close import reopen_dead_letters
from .group_counts import DIED_AT, lock_groups, parse_died_at
from .resolve import resolve

MAX_UNDONE = 1_000
"""A resolution that closed more is not undone: it would be one transaction."""


class GroupResolution(NamedTuple):
    """How many dead letters were closed, and whether the resolution was recorded: not if the group was resolved."""

    closed: int
    is_recorded: bool


def resolve_group(
    fingerprint: str, *, by: str = "", note: str | None = None, using: str | None = None
) -> GroupResolution:
    """Close the open dead letters of a group and record when and by whom; a later death makes it *regressed*.

    ``note`` is stored with each dead letter. One transaction per 1,000 dead letters, and one for the group.
    """
    _, connection = open_dialect(using)
    rows = DeadLetter.objects.using(connection.alias).filter(status=DeadLetter.Status.OPEN, fingerprint=fingerprint)
    newest = rows.order_by("-pk").values_list("pk", flat=True).first()
    at = database_now(using=connection.alias)
    closed = 0
    if newest is not None:
        target = Q(fingerprint=fingerprint, pk__lte=newest)
        closed = resolve(target, by=by, note=note, using=connection.alias)
    return GroupResolution(closed, record_resolution(fingerprint, by=by, at=at, using=connection.alias))


def record_resolution(fingerprint: str, *, by: str, at: datetime, using: str | None = None) -> bool:
    """Record that a group's dead letters, closed by the caller, were resolved ``at`` that time; one transaction.

    False if the group has no dead letters, or is resolved and has not come back.
    """
    _, connection = open_dialect(using)
    record = partial(_record, fingerprint, by, at, connection.alias)
    return retry_on_conflict(record, using=connection.alias)


def _record(fingerprint: str, by: str, at: datetime, alias: str) -> bool:
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        group = lock_groups([fingerprint], using=alias).get(fingerprint)
        if group is None:
            return False
        died_at = _first_open_death(fingerprint, alias)
        if group.resolved_at is not None and group.regressed_at is None and died_at is None:
            return False
        DeadLetterGroup.objects.using(alias).filter(pk=fingerprint).update(
            resolved_at=at,
            resolved_by=by[:MAX_ACTOR_LENGTH],
            regressed_at=first_regression(at, () if died_at is None else (died_at,)),
        )
    return True


def _first_open_death(fingerprint: str, alias: str) -> datetime | None:
    rows = DeadLetter.objects.using(alias).filter(status=DeadLetter.Status.OPEN, fingerprint=fingerprint)
    texts = list(latest_rows(rows).order_by("pk").values_list(DIED_AT, flat=True)[:1])
    return (parse_died_at(texts[0]) or database_now(using=alias)) if texts else None


def undo_resolve_group(fingerprint: str, *, using: str | None = None) -> int | None:
    """Open the dead letters again that the group's resolution closed, if their jobs are still dead; return how many.

    None, with nothing changed, if the group is not resolved, has come back, or more than 1,000 were closed. Dead
    letters that were redriven, purged or pruned since stay closed. One transaction.
    """
    _, connection = open_dialect(using)
    try:
        return retry_on_conflict(partial(_undo, fingerprint, connection.alias), using=connection.alias)
    except _GroupChangedError:
        return None


def is_too_large_to_undo(fingerprint: str, *, using: str | None = None) -> bool:
    """Tell whether a group's resolution closed more than 1,000 dead letters, so that it is not undone."""
    _, connection = open_dialect(using)
    group = DeadLetterGroup.objects.using(connection.alias).filter(pk=fingerprint, resolved_at__isnull=False).first()
    return group is not None and _closed_by_resolution(group, connection.alias) is None


def _undo(fingerprint: str, alias: str) -> int | None:
    groups = DeadLetterGroup.objects.using(alias)
    with savepoint(using=alias):
        group = groups.filter(pk=fingerprint, resolved_at__isnull=False, regressed_at=None).first()
        if group is None or _first_open_death(fingerprint, alias) is not None:
            return None
        closed = _closed_by_resolution(group, alias)
        if closed is None:
            return None
        job_ids = sorted({job_id for _, job_id in closed if job_id is not None})
        still_dead = set(lock_jobs(job_ids, states={State.DEAD}, using=alias))
        ids = [pk for pk, job_id in closed if job_id in still_dead]
        # Groups are locked last, here by the count; a death that was rolled up meanwhile has made it regressed.
        reopened = reopen_dead_letters(ids, using=alias)
        undone = groups.filter(pk=fingerprint, resolved_at=group.resolved_at, regressed_at=None)
        if not undone.update(resolved_at=None, resolved_by=""):
            raise _GroupChangedError
    return reopened


class _GroupChangedError(Exception):
    """Rolls back an undo: the group was resolved again, or has come back."""


def _closed_by_resolution(group: DeadLetterGroup, alias: str) -> list[tuple[int, int | None]] | None:
    """Return the dead letters that the resolution closed, with their jobs; None if there are too many.

    One whose job has died again since is left out: its job has a newer dead letter.
    """
    dead_letters = DeadLetter.objects.using(alias)
    newer = dead_letters.filter(job=OuterRef("job"), pk__gt=OuterRef("pk"))
    rows = dead_letters.filter(
        ~Exists(newer),
        status=DeadLetter.Status.RESOLVED,
        fingerprint=group.fingerprint,
        resolved_at__gte=group.resolved_at,
    )
    found: list[tuple[int, int | None]] = list(rows.order_by("-pk").values_list("pk", "job_id")[: MAX_UNDONE + 1])
    return None if len(found) > MAX_UNDONE else found
