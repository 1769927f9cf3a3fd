"""Jobs for the entries: found under their names in the column ``task``."""

from __future__ import annotations

from django_jobs import job

PREFIX = "tests.celery_beat."


@job(name=f"{PREFIX}report", schedulable=True)
def report(shop: int, kind: str = "daily") -> None:
    """Take what entries give."""


@job(name=f"{PREFIX}mailing", schedulable=True, queue_name="mails", priority=7, expires=120)
def mailing() -> None:
    """Have options of its own."""


@job(name=f"{PREFIX}internal")
def internal() -> None:
    """Not be for staff's schedules."""
