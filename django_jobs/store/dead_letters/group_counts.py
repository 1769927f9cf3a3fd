"""The groups of dead letters: how many of each are open, kept in step by whoever opens or ends a letter.

What always holds, for each fingerprint::

    group.open + its letters that are not folded yet = its open letters

``store/stats/rollup.py`` adds 1 for every letter that it folds, whatever became of it meanwhile. A verb that ends an
open letter takes 1 away in its own transaction, folded or not. So a group whose letters were all ended before
they were folded stands below zero for some seconds.

Groups are locked in the order of their fingerprints, after jobs, positions and letters.
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

MAX_PRUNED_PER_CALL = 1_000

DIED_AT = Cast("died_at", CharField())
"""As text: what SQLite holds may be no instant, and a fold that failed on it would take down every worker."""


class Sample(NamedTuple):
    """What a group shows of its newest letter."""

    job_name: str
    queue_name: str
    reason: str
    error_class: str
    error_message: str


SAMPLE = ("job_name", "queue_name", "reason", "error_class", Left("error_message", MAX_SAMPLE_LENGTH))
"""What to read of a letter for it."""


class RollupDeadLetter(NamedTuple):
    """What folding reads of a letter."""

    pk: int
    fingerprint: str
    died_at: datetime
    queue_name: str


def count_closed(fingerprints: Mapping[str, int], *, using: str) -> None:
    """Take away from each group how many of its open letters have just been ended, in the caller's transaction.

    A negative number gives back: of letters that were ended before they were folded and are deleted now.
    """
    changed = {fingerprint: number for fingerprint, number in fingerprints.items() if number}
    if not changed:
        return
    groups = lock_groups(changed, using=using)
    for fingerprint, group in groups.items():
        group.open -= changed[fingerprint]
    _save(groups.values(), ["open"], using=using)


def add_dead_letters(letters: Collection[RollupDeadLetter], *, using: str) -> None:
    """Count letters into their groups, in the caller's transaction; the newest shows what the error is."""
    dead_letter_ids = {letter.fingerprint: letter.pk for letter in letters}
    groups = lock_groups(dead_letter_ids, dead_letter_ids=dead_letter_ids, using=using)
    newest: dict[str, RollupDeadLetter] = {}
    for letter in letters:
        group = groups[letter.fingerprint]
        group.total += 1
        group.open += 1
        group.first_died_at = min(group.first_died_at, letter.died_at)
        if letter.died_at >= group.last_died_at:
            group.last_died_at = letter.died_at
            newest[letter.fingerprint] = letter
    samples = read_samples([letter.pk for letter in newest.values()], using=using)
    for fingerprint, letter in newest.items():
        if sample := samples.get(letter.pk):
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
        ],
        using=using,
    )


def lock_groups(
    fingerprints: Iterable[str], *, dead_letter_ids: Mapping[str, int] | None = None, using: str
) -> dict[str, DeadLetterGroup]:
    """Lock the groups of these fingerprints until the transaction ends, and make those that are not there yet.

    ``dead_letter_ids``: a letter of each, where the caller knows one.

    Where one is missing, all are written in their order rather than that one alone, so that two who find
    different ones missing never wait for each other. A fingerprint without any letter is left out.
    """
    wanted = sorted(fingerprints)
    groups = DeadLetterGroup.objects.using(using)
    while True:
        there = groups.in_bulk(wanted)
        if len(there) < len(wanted):
            made = _new_groups(set(wanted) - set(there), dead_letter_ids or {}, using=using)
            there = {one: group for one in wanted if (group := there.get(one) or made.get(one))}
            _save(there.values(), ["job_name"], using=using)
        rows = groups.filter(pk__in=list(there)).select_for_update().order_by("pk")
        locked = {group.fingerprint: group for group in rows}
        if len(locked) == len(there):
            return locked


def prune_groups(period: timedelta | None, *, using: str | None = None) -> int:
    """Delete groups without letters whose last death is longer ago than ``period``; return how many were.

    What staff muted or wrote a note on stays. 1,000 a call.
    """
    if period is None:
        return 0
    dialect, connection = open_dialect(using)
    groups = DeadLetterGroup.objects.using(connection.alias)
    letters = DeadLetter.objects.using(connection.alias).filter(
        status__in=DeadLetter.Status.values, fingerprint=OuterRef("pk")
    )
    gone = groups.filter(
        ~Exists(letters),
        last_died_at__lt=database_now(using=connection.alias) - period,
        open=0,
        muted_at=None,
        note="",
    )
    ids = list(gone.order_by("last_died_at").values_list("pk", flat=True)[:MAX_PRUNED_PER_CALL])
    if not ids:
        return 0
    with dialect.write_transaction(connection):
        list(groups.filter(pk__in=ids).select_for_update().order_by("pk").values_list("pk"))
        still_gone = list(gone.filter(pk__in=ids).values_list("pk", flat=True))
        delete_rows(groups.filter(pk__in=still_gone))
    return len(still_gone)


def _new_groups(
    fingerprints: Iterable[str], dead_letter_ids: Mapping[str, int], *, using: str
) -> dict[str, DeadLetterGroup]:
    """Return groups, not saved yet, that show one of their letters: the given one, or else any."""
    ids = [dead_letter_ids.get(one) or _any_dead_letter_id(one, using=using) for one in fingerprints]
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
    # All states are named because the index of groups begins with the state. Any letter will do: asked for the newest,
    # PostgreSQL may walk the key.
    letters = DeadLetter.objects.using(using).filter(
        status__in=DeadLetter.Status.values, fingerprint=fingerprint
    )
    return next(iter(letters.order_by().values_list("pk", flat=True)[:1]), None)


def read_samples(dead_letter_ids: list[int], *, using: str) -> dict[int, Sample]:
    """Read what the groups show of these letters; of an error's text, which may be huge, the beginning only."""
    rows = DeadLetter.objects.using(using).filter(pk__in=dead_letter_ids)
    return {pk: Sample(*rest) for pk, *rest in rows.values_list("pk", *SAMPLE)}


def _take_sample(group: DeadLetterGroup, sample: Sample) -> None:
    group.queue_name = sample.queue_name
    group.reason = sample.reason
    group.error_class = sample.error_class
    group.error_message = sample.error_message


def parse_died_at(text: str) -> datetime | None:
    """Return the instant that ``DIED_AT`` read, or None for what was edited by hand into no instant."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _save(groups: Iterable[DeadLetterGroup], fields: list[str], *, using: str) -> None:
    """Write, or insert, in the given order; an insert that meets another's waits for it and keeps its row."""
    _, connection = open_dialect(using)
    names_target = connection.features.supports_update_conflicts_with_target
    DeadLetterGroup.objects.using(using).bulk_create(
        list(groups),
        update_conflicts=True,
        update_fields=fields,
        unique_fields=["fingerprint"] if names_target else None,
    )
