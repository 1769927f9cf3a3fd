"""Choose the new errors to mail to the admins, each once over all workers."""

from __future__ import annotations

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Count, Max

from ...models import AlertHistory, DeadLetter, DeadLetterGroup
from ..clock import DatabaseNow
from ..dialects import open_dialect

MAX_ALERTS = 20


def take_alerts(*, period: timedelta, using: str | None = None) -> list[tuple[DeadLetter, int]]:
    """Return the errors to mail now: the newest dead letter of each fingerprint and the number of deaths in the period.

    A fingerprint is returned to one caller per period, over all workers: a unique row decides. Muted groups are
    left out. At most 20 per call; the rest come with the next one.
    """
    _, connection = open_dialect(using)
    alias = connection.alias
    dead_letters = DeadLetter.objects.using(alias).filter(died_at__gte=DatabaseNow(-period))
    alerted = AlertHistory.objects.using(alias).filter(alerted_at__gte=DatabaseNow(-period))
    muted = DeadLetterGroup.objects.using(alias).filter(muted_at__isnull=False)
    new_errors = (
        dead_letters.exclude(fingerprint__in=alerted.values("fingerprint"))
        .exclude(fingerprint__in=muted.values("fingerprint"))
        .order_by()
        .values_list("fingerprint")
        .annotate(newest=Max("pk"), number=Count("pk"))[:MAX_ALERTS]
    )
    return [
        (DeadLetter.objects.using(alias).get(pk=newest), number)
        for fingerprint, newest, number in list(new_errors)
        if _mark_alerted(fingerprint, period, alias)
    ]


def _mark_alerted(fingerprint: str, period: timedelta, alias: str) -> bool:
    history = AlertHistory.objects.using(alias)
    if history.filter(pk=fingerprint, alerted_at__lt=DatabaseNow(-period)).update(alerted_at=DatabaseNow()):
        return True
    try:
        with transaction.atomic(using=alias):
            history.create(fingerprint=fingerprint, alerted_at=DatabaseNow())
    except IntegrityError:
        return False
    return True
