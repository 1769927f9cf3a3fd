"""One row a queue that a worker has met or somebody has paused."""

from __future__ import annotations

from django.db import models

from ..conf import MAX_QUEUE_NAME_LENGTH
from .base import JobsManager, NameField
from .dead_letter import MAX_ACTOR_LENGTH


class Queue(models.Model):
    """A named line of jobs. No job of a paused queue is claimed; what runs goes on."""

    name = NameField(max_length=MAX_QUEUE_NAME_LENGTH, primary_key=True)
    paused_at = models.DateTimeField(null=True)
    paused_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")

    objects = JobsManager["Queue"]()

    def __str__(self) -> str:
        return str(self.name)

    @property
    def is_paused(self) -> bool:
        """True while nothing of this queue is claimed."""
        return self.paused_at is not None
