"""One row a queue that a worker has met or somebody has paused."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..conf import MAX_QUEUE_NAME_LENGTH
from .base import MAX_ACTOR_LENGTH, JobsManager, NameField


class Queue(models.Model):
    """A named line of jobs. No job of a paused queue is claimed; what runs goes on.

    ``max_running``: so many of its jobs run at once, over all workers; None: as many as workers have slots.
    """

    name = NameField(max_length=MAX_QUEUE_NAME_LENGTH, primary_key=True)
    paused_at = models.DateTimeField(null=True)
    paused_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")
    max_running = models.PositiveIntegerField(_("at most at once"), null=True, blank=True)

    objects = JobsManager["Queue"]()

    class Meta:
        verbose_name = _("queue")
        verbose_name_plural = _("queues")
        default_permissions = ("view",)
        permissions = [("pause_queue", _("Can pause and resume queues"))]

    def __str__(self) -> str:
        return str(self.name)

    @property
    def is_paused(self) -> bool:
        """True while nothing of this queue is claimed."""
        return self.paused_at is not None
