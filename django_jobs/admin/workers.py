"""Workers: which processes live, and when each was last heard of."""

from __future__ import annotations

from django.contrib import admin

from ..models import Worker
from .base import ReadOnlyAdmin


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin[Worker]):
    """Lists worker processes, the newest first."""

    list_display = ("id", "hostname", "pid", "state", "queues", "concurrency", "heartbeat_at", "started_at")
    list_filter = ("state",)
    ordering = ("-id",)
