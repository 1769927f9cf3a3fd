"""A task that django-crontask enqueues."""

from __future__ import annotations

from crontask import cron
from django.tasks import task


@cron("0 5 * * *")
@task
def water_plants() -> str:
    return "watered"
