"""Choose the new errors to mail to the admins, and those that came back, each once over all workers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, Max, OuterRef, Q

from ...models import AlertHistory, DeadLetter, DeadLetterGroup
from ..clock import DatabaseNow
from ..dialects import open_dialect

MAX_ALERTS = 20


class Resolution(NamedTuple):
    """When and by whom a group was resolved."""

    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An error to mail: its newest open dead letter and the number of open ones that died in the period.

    ``resolution``: the group was resolved, and has come back.
    """

    dead_letter: DeadLetter
    number: int
    resolution: Resolution | None = None


def take_alerts(*, period: timedelta, using: str | None = None) -> list[Alert]:
    """Return the errors to mail now: those with an open dead letter of the period that nobody was told of.

    A fingerprint is returned to one caller per period, over all workers: a unique row decides. One that was resolved
    since it was told is returned again as soon as it comes back. Dead letters that were redriven or resolved, and muted
    groups, are left out. At most 20 per call; the rest come with the next one.
    """
    _, connection = open_dialect(using)
    alias = connection.alias
    groups = DeadLetterGroup.objects.using(alias)
    died = DeadLetter.objects.using(alias).filter(died_at__gte=DatabaseNow(-period), status=DeadLetter.Status.OPEN)
    told = AlertHistory.objects.using(alias).filter(alerted_at__gte=DatabaseNow(-period)).exclude(_is_resolved_since())
    new_errors = (
        died.exclude(fingerprint__in=told.values("fingerprint"))
        .exclude(fingerprint__in=groups.filter(muted_at__isnull=False).values("fingerprint"))
        .order_by()
        .values_list("fingerprint")
        .annotate(newest=Max("pk"), number=Count("pk"))[:MAX_ALERTS]
    )
    found = list(new_errors)
    resolutions = _untold_resolutions([fingerprint for fingerprint, _, _ in found], alias)
    return [
        Alert(
            dead_letter=DeadLetter.objects.using(alias).get(pk=newest),
            number=number,
            resolution=resolutions.get(fingerprint),
        )
        for fingerprint, newest, number in found
        if _mark_alerted(fingerprint, period, alias)
    ]


def release_alerts(fingerprints: Collection[str], *, using: str | None = None) -> None:
    """Have these errors returned again: nobody could be told of them."""
    _, connection = open_dialect(using)
    AlertHistory.objects.using(connection.alias).filter(pk__in=fingerprints).delete()


def _is_resolved_since() -> Exists:
    """Return the condition for a row of AlertHistory whose group was resolved after the alert."""
    groups = DeadLetterGroup.objects.filter(pk=OuterRef("fingerprint"), resolved_at__gt=OuterRef("alerted_at"))
    return Exists(groups)


def _untold_resolutions(fingerprints: list[str], alias: str) -> dict[str, Resolution]:
    """Return the resolutions of these groups after which no mail was sent. One statement if there are groups."""
    if not fingerprints:
        return {}
    history = AlertHistory.objects.filter(pk=OuterRef("pk"), alerted_at__gte=OuterRef("resolved_at"))
    groups = DeadLetterGroup.objects.using(alias).filter(
        ~Exists(history), pk__in=fingerprints, resolved_at__isnull=False
    )
    rows = groups.values_list("fingerprint", "resolved_at", "resolved_by")
    return {fingerprint: Resolution(at, by) for fingerprint, at, by in rows if at is not None}


def _mark_alerted(fingerprint: str, period: timedelta, alias: str) -> bool:
    history = AlertHistory.objects.using(alias)
    is_due = Q(alerted_at__lt=DatabaseNow(-period)) | Q(_is_resolved_since())
    if history.filter(is_due, pk=fingerprint).update(alerted_at=DatabaseNow()):
        return True
    try:
        with transaction.atomic(using=alias):
            history.create(fingerprint=fingerprint, alerted_at=DatabaseNow())
    except IntegrityError:
        return False
    return True
