"""Queues: pause and resume them."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..models import Queue
from ..store.queues import pause, resume
from .base import ReadOnlyAdmin, actor


@admin.register(Queue)
class QueueAdmin(ReadOnlyAdmin[Queue]):
    """Lists the queues that workers have met."""

    list_display = ("name", "paused_at", "paused_by")
    ordering = ("name",)
    actions = ("pause_selected", "resume_selected")

    @admin.action(description=_("Pause: take nothing more, what runs goes on"), permissions=["change"])
    def pause_selected(self, request: HttpRequest, queues: QuerySet[Queue]) -> None:
        """Pause the selected queues."""
        paused = [queue.name for queue in queues if pause(queue.name, by=actor(request))]
        self.message_user(request, _("Paused: %s") % (", ".join(paused) or "-"))

    @admin.action(description=_("Resume"), permissions=["change"])
    def resume_selected(self, request: HttpRequest, queues: QuerySet[Queue]) -> None:
        """Resume the selected queues."""
        resumed = [queue.name for queue in queues if resume(queue.name)]
        self.message_user(request, _("Resumed: %s") % (", ".join(resumed) or "-"))
