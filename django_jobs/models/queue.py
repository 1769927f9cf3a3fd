"""Queues that a worker has seen or staff have configured."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..conf.readers import MAX_QUEUE_NAME_LENGTH
from .base import MAX_ACTOR_LENGTH, NameField
from .querysets import QueueManager

MAX_RUNNING = 1_000_000
"""Highest cap of a queue's running jobs."""


class Queue(models.Model):
    """A named queue. Jobs of a paused queue are not claimed; running ones go on.

    ``max_running`` caps its running jobs over all workers; None: no cap. ``suspended_until``: the server that its jobs
    need was down, so none is claimed until then, and after that one at a time, as a test; None: it was not.
    """

    name = NameField(_("name"), max_length=MAX_QUEUE_NAME_LENGTH, primary_key=True)
    paused_at = models.DateTimeField(null=True)
    paused_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")
    max_running = models.PositiveIntegerField(_("maximum running jobs"), null=True, blank=True)
    suspended_until = models.DateTimeField(null=True)

    objects = QueueManager()

    class Meta:
        verbose_name = _("queue")
        verbose_name_plural = _("queues")
        default_permissions = ("view",)
        permissions = [("pause_queue", _("Can pause and resume queues"))]

    def __str__(self) -> str:
        return str(self.name)

    @property
    def is_paused(self) -> bool:
        """True while no job of this queue is claimed."""
        return self.paused_at is not None
