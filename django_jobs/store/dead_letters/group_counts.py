"""Count the open dead letters of each group, in the transactions that open or close a dead letter.

Invariant, for each fingerprint::

    group.open + its dead letters that are not rolled up yet = its open dead letters

``store/stats/rollup.py`` adds 1 for every dead letter that it rolls up, whatever its status by then. An operation that
closes an open dead letter subtracts 1 in its own transaction, rolled up or not. So a group whose dead letters were all
closed before they were rolled up is below zero for some seconds.

Groups are locked in the order of their fingerprints, after jobs, positions and dead letters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db.models import CharField, Exists, OuterRef
from django.db.models.functions import Cast, Left

from ...models import DeadLetter, DeadLetterGroup
from ...models.rollup import MAX_SAMPLE_LENGTH
from ..clock import database_now
from ..dialects import open_dialect
from ..dialects.shared.by_id import delete_rows
from .regressions import note_regressions

MAX_PRUNED_PER_CALL = 1_000

DIED_AT = Cast("died_at", CharField())
"""As text: on SQLite the value may not be a valid time, and a rollup that failed on it would stop every worker."""


class Sample(NamedTuple):
    """Columns that a group copies from its newest dead letter."""

    job_name: str
    queue_name: str
    reason: str
    error_class: str
    error_message: str


SAMPLE = ("job_name", "queue_name", "reason", "error_class", Left("error_message", MAX_SAMPLE_LENGTH))
"""The same as expressions for ``values_list``."""


class RollupDeadLetter(NamedTuple):
    """Columns that the rollup reads of a dead letter."""

    pk: int
    fingerprint: str
    died_at: datetime
    queue_name: str
    job_name: str


def count_closed(fingerprints: Mapping[str, int], *, using: str) -> None:
    """Subtract from each group the number of its dead letters that were just closed, in the caller's transaction.

    A negative number adds: for dead letters that were closed before they were rolled up and are deleted now.
    """
    changed = {fingerprint: number for fingerprint, number in fingerprints.items() if number}
    if not changed:
        return
    groups = lock_groups(changed, using=using)
    for fingerprint, group in groups.items():
        group.open -= changed[fingerprint]
    _save(groups.values(), ["open"], using=using)


def add_dead_letters(dead_letters: Collection[RollupDeadLetter], *, using: str) -> None:
    """Add dead letters to the counts of their groups, in the caller's transaction; the newest is the group's sample."""
    dead_letter_ids = {dead_letter.fingerprint: dead_letter.pk for dead_letter in dead_letters}
    groups = lock_groups(dead_letter_ids, dead_letter_ids=dead_letter_ids, using=using)
    newest: dict[str, RollupDeadLetter] = {}
    for dead_letter in dead_letters:
        group = groups[dead_letter.fingerprint]
        group.total += 1
        group.open += 1
        group.first_died_at = min(group.first_died_at, dead_letter.died_at)
        if dead_letter.died_at >= group.last_died_at:
            group.last_died_at = dead_letter.died_at
            newest[dead_letter.fingerprint] = dead_letter
    note_regressions(groups, dead_letters, using=using)
    samples = read_samples([dead_letter.pk for dead_letter in newest.values()], using=using)
    for fingerprint, dead_letter in newest.items():
        if sample := samples.get(dead_letter.pk):
            _take_sample(groups[fingerprint], sample)
    _save(
        groups.values(),
        [
            "queue_name",
            "reason",
            "error_class",
            "error_message",
            "first_died_at",
            "last_died_at",
            "total",
            "open",
            "regressed_at",
        ],
        using=using,
    )


def lock_groups(
    fingerprints: Iterable[str], *, dead_letter_ids: Mapping[str, int] | None = None, using: str
) -> dict[str, DeadLetterGroup]:
    """Lock the groups of these fingerprints until the transaction ends, and insert missing ones.

    ``dead_letter_ids``: a dead letter of each, if the caller knows one.

    If one is missing, all are written in order rather than that one alone, so that two callers that miss different
    groups never deadlock. A fingerprint without dead letters is left out.
    """
    wanted = sorted(fingerprints)
    groups = DeadLetterGroup.objects.using(using)
    while True:
        existing = groups.in_bulk(wanted)
        if len(existing) < len(wanted):
            made = _new_groups(set(wanted) - set(existing), dead_letter_ids or {}, using=using)
            existing = {key: group for key in wanted if (group := existing.get(key) or made.get(key))}
            _save(existing.values(), ["job_name"], using=using)
        rows = groups.filter(pk__in=list(existing)).select_for_update().order_by("pk")
        locked = {group.fingerprint: group for group in rows}
        if len(locked) == len(existing):
            return locked


def prune_groups(period: timedelta | None, *, using: str | None = None) -> int:
    """Delete groups without dead letters whose last death is longer ago than ``period``; return how many were.

    Muted groups and groups with a note are kept. 1,000 per call.
    """
    if period is None:
        return 0
    dialect, connection = open_dialect(using)
    groups = DeadLetterGroup.objects.using(connection.alias)
    dead_letters = DeadLetter.objects.using(connection.alias).filter(
        status__in=DeadLetter.Status.values, fingerprint=OuterRef("pk")
    )
    obsolete = groups.filter(
        ~Exists(dead_letters),
        last_died_at__lt=database_now(using=connection.alias) - period,
        open=0,
        muted_at=None,
        note="",
    )
    ids = list(obsolete.order_by("last_died_at").values_list("pk", flat=True)[:MAX_PRUNED_PER_CALL])
    if not ids:
        return 0
    with dialect.write_transaction(connection):
        list(groups.filter(pk__in=ids).select_for_update().order_by("pk").values_list("pk"))
        deletable = list(obsolete.filter(pk__in=ids).values_list("pk", flat=True))
        delete_rows(groups.filter(pk__in=deletable))
    return len(deletable)


def _new_groups(
    fingerprints: Iterable[str], dead_letter_ids: Mapping[str, int], *, using: str
) -> dict[str, DeadLetterGroup]:
    """Return unsaved groups with a sample of one of their dead letters: the given one, or else any."""
    ids = [dead_letter_ids.get(key) or _any_dead_letter_id(key, using=using) for key in fingerprints]
    rows = DeadLetter.objects.using(using).filter(pk__in=[pk for pk in ids if pk is not None])
    now = database_now(using=using)
    made = {}
    for fingerprint, died_at_text, *sample in rows.values_list("fingerprint", DIED_AT, *SAMPLE):
        died_at = parse_died_at(died_at_text) or now
        made[fingerprint] = DeadLetterGroup(
            fingerprint=fingerprint,
            first_died_at=died_at,
            last_died_at=died_at,
            **Sample(*sample)._asdict(),
        )
    return made


def _any_dead_letter_id(fingerprint: str, *, using: str) -> int | None:
    # All statuses are named because the index of groups begins with the status. No order: for the newest one
    # PostgreSQL may scan the primary key.
    dead_letters = DeadLetter.objects.using(using).filter(status__in=DeadLetter.Status.values, fingerprint=fingerprint)
    return next(iter(dead_letters.order_by().values_list("pk", flat=True)[:1]), None)


def read_samples(dead_letter_ids: list[int], *, using: str) -> dict[int, Sample]:
    """Read the samples of these dead letters, with the beginning of the error's text, which may be huge."""
    rows = DeadLetter.objects.using(using).filter(pk__in=dead_letter_ids)
    return {pk: Sample(*rest) for pk, *rest in rows.values_list("pk", *SAMPLE)}


def _take_sample(group: DeadLetterGroup, sample: Sample) -> None:
    group.queue_name = sample.queue_name
    group.reason = sample.reason
    group.error_class = sample.error_class
    group.error_message = sample.error_message


def parse_died_at(text: str) -> datetime | None:
    """Return the time that ``DIED_AT`` read, or None if it was edited by hand into something else."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _save(groups: Iterable[DeadLetterGroup], fields: list[str], *, using: str) -> None:
    """Update or insert in the given order; an insert that conflicts with another's waits for it and keeps its row."""
    _, connection = open_dialect(using)
    names_target = connection.features.supports_update_conflicts_with_target
    DeadLetterGroup.objects.using(using).bulk_create(
        list(groups),
        update_conflicts=True,
        update_fields=fields,
        unique_fields=["fingerprint"] if names_target else None,
    )
