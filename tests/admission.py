"""Admit what waits at limits as a worker does, on a machine whose clock may be set back a little meanwhile."""

from __future__ import annotations

from datetime import timedelta

from django_jobs.models import Limit
from django_jobs.store.clock import database_now
from django_jobs.store.limits.admit import admit

STEP = timedelta(milliseconds=20)
"""How far virtual machines were seen to set their clocks back in one go, and more."""


def admit_all() -> None:
    """Admit jobs until no more are admitted, at limits too that are due a moment from now: a worker looks again."""
    while admit().more or _is_nearly_due():
        pass


def _is_nearly_due() -> bool:
    now = database_now()
    return Limit.objects.filter(check_at__gt=now, check_at__lte=now + STEP).exists()
