"""Alerts: which new errors the admins are to be mailed about, decided once over all workers."""

from __future__ import annotations

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Count, Max

from ...models import AlertHistory, DeadLetter, DeadLetterGroup
from ..clock import DatabaseNow
from ..dialects import open_dialect

MAX_ALERTS = 20


def take_alerts(*, period: timedelta, using: str | None = None) -> list[tuple[DeadLetter, int]]:
    """Return the errors to mail now: the newest letter of each fingerprint and how many died in the period.

    A fingerprint is returned to one caller a period, over all workers: a unique row decides. Muted groups are
    left out. At most 20 at once; the rest come with the next call.
    """
    _, connection = open_dialect(using)
    alias = connection.alias
    letters = DeadLetter.objects.using(alias).filter(died_at__gte=DatabaseNow(-period))
    known = AlertHistory.objects.using(alias).filter(alerted_at__gte=DatabaseNow(-period))
    muted = DeadLetterGroup.objects.using(alias).filter(muted_at__isnull=False)
    fresh = (
        letters.exclude(fingerprint__in=known.values("fingerprint"))
        .exclude(fingerprint__in=muted.values("fingerprint"))
        .order_by()
        .values_list("fingerprint")
        .annotate(newest=Max("pk"), number=Count("pk"))[:MAX_ALERTS]
    )
    return [
        (DeadLetter.objects.using(alias).get(pk=newest), number)
        for fingerprint, newest, number in list(fresh)
        if _mark_alerted(fingerprint, period, alias)
    ]


def _mark_alerted(fingerprint: str, period: timedelta, alias: str) -> bool:
    marks = AlertHistory.objects.using(alias)
    if marks.filter(pk=fingerprint, alerted_at__lt=DatabaseNow(-period)).update(alerted_at=DatabaseNow()):
        return True
    try:
        with transaction.atomic(using=alias):
            marks.create(fingerprint=fingerprint, alerted_at=DatabaseNow())
    except IntegrityError:
        return False
    return True
