"""Worker processes: claims are valid as long as the heartbeat is fresh."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .base import MAX_ACTOR_LENGTH
from .querysets import WorkerManager


class Worker(models.Model):
    """A process that claims and runs jobs.

    ``heartbeat_at`` is by the database's clock. A worker with a stale heartbeat is set to ``lost`` and its claims are
    rescued; its next heartbeat tells it, and it registers again as a new row. ``concurrency`` is 0 for a process that
    only fires schedules.
    """

    class State(models.TextChoices):
        """State of the process."""

        RUNNING = "running", _("running")
        STOPPING = "stopping", _("stopping")
        STOPPED = "stopped", _("stopped")
        LOST = "lost", _("lost")

    ALIVE_STATES = (State.RUNNING, State.STOPPING)

    id = models.BigAutoField(primary_key=True)
    hostname = models.CharField(max_length=255)
    pid = models.IntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    queues = models.JSONField(default=list)
    concurrency = models.IntegerField()
    version = models.CharField(max_length=50)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)
    memory_bytes = models.BigIntegerField(null=True)
    stop_requested_at = models.DateTimeField(null=True)
    stop_requested_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="", db_default="")

    objects = WorkerManager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        default_permissions = ("view",)
        permissions = [("stop_worker", _("Can request workers to stop"))]
        indexes = [models.Index(name="django_jobs_worker_state", fields=["state", "heartbeat_at"])]

    def __str__(self) -> str:
        return f"{self.hostname}:{self.pid} #{self.pk}"
