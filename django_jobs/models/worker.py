"""Worker processes: claims are valid as long as the heartbeat is fresh."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..conf.readers import MAX_RELEASE_LENGTH
from .base import MAX_ACTOR_LENGTH
from .querysets import WorkerManager


class Worker(models.Model):
    """A process that claims and runs jobs.

    ``heartbeat_at`` is by the database's clock. A worker with a stale heartbeat is set to ``lost`` and its claims are
    rescued; its next heartbeat tells it, and it registers again as a new row. ``concurrency`` is 0 for a process that
    only fires schedules. ``version`` is the engine's, ``release`` the project's (setting ``RELEASE``). ``activity`` is
    what it reported last of its runs: see ``policy/activity.py``. No index has a column that a heartbeat writes: on
    PostgreSQL it is a HOT update, which leaves nothing to vacuum.
    """

    class State(models.TextChoices):
        """State of the process."""

        RUNNING = "running", _("running")
        STOPPING = "stopping", _("stopping")
        STOPPED = "stopped", _("stopped")
        LOST = "lost", _("lost")

    ALIVE_STATES = (State.RUNNING, State.STOPPING)

    id = models.BigAutoField(primary_key=True)
    hostname = models.CharField(_("host name"), max_length=255)
    pid = models.IntegerField()
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.RUNNING)
    queues = models.JSONField(default=list)
    concurrency = models.IntegerField(_("concurrency"))
    version = models.CharField(_("version"), max_length=50)
    release = models.CharField(max_length=MAX_RELEASE_LENGTH, default="", db_default="")
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)
    memory_bytes = models.BigIntegerField(null=True)
    stop_requested_at = models.DateTimeField(null=True)
    stop_requested_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="", db_default="")
    kill_requested_at = models.DateTimeField(null=True)
    kill_requested_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="", db_default="")
    activity = models.JSONField(null=True)

    objects = WorkerManager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        default_permissions = ("view",)
        permissions = [
            ("stop_worker", _("Can request workers to stop")),
            ("kill_worker", _("Can stop workers at once, with their running jobs")),
        ]
        indexes = [models.Index(name="django_jobs_worker_state", fields=["state"])]

    def __str__(self) -> str:
        return f"{self.hostname}:{self.pid} #{self.pk}"
