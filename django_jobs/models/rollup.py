"""Aggregates for the admin, maintained by workers so that no page has to count jobs.

``store/stats/rollup.py`` adds each attempt and dead letter to these rows exactly once, a few seconds after it was
inserted.
"""

from __future__ import annotations

from django.db import models

from ..conf.readers import MAX_NAME_LENGTH, MAX_QUEUE_NAME_LENGTH
from ..policy.error_text import class_text
from ..policy.fingerprint import FINGERPRINT_LENGTH
from ..policy.outcomes import DeathReason
from .attempt import MAX_ERROR_CLASS_LENGTH
from .base import MAX_ACTOR_LENGTH, MAX_NOTE_LENGTH, JobsManager, NameField

MAX_SAMPLE_LENGTH = 500


class Rollup(models.Model):
    """Attempts that ended in one queue, or in all (``policy.rollup.ALL_QUEUES``), in one time span.

    ``span_seconds`` is one of ``policy.histogram.SPANS``. ``waits`` and ``runs`` map a bucket of
    ``policy.histogram`` to the number of attempts that waited, or ran, that long.

    ``waiting`` and ``running``: the queue's ready and running jobs when the span began, ``max_waiting`` the most ready
    ones of its samples. All are None if it was not sampled then; if the row of all queues was, nothing waited or ran.
    Only ``waiting`` is None if more waited than are counted.
    """

    id = models.BigAutoField(primary_key=True)
    span_seconds = models.IntegerField()
    starts_at = models.DateTimeField()
    queue_name = NameField(max_length=MAX_QUEUE_NAME_LENGTH)
    succeeded = models.BigIntegerField(default=0)
    retried = models.BigIntegerField(default=0)
    dead = models.BigIntegerField(default=0)
    waits = models.JSONField(default=dict)
    runs = models.JSONField(default=dict)
    waiting = models.BigIntegerField(null=True)
    running = models.BigIntegerField(null=True)
    max_waiting = models.BigIntegerField(null=True)

    objects = JobsManager["Rollup"]()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                name="django_jobs_rollup_unique", fields=["span_seconds", "starts_at", "queue_name"]
            ),
        ]

    def __str__(self) -> str:
        return f"{self.queue_name} from {self.starts_at} for {self.span_seconds} s"


class TypeRollup(models.Model):
    """Attempts of every job type that ended in one time span; ``types``: see ``policy.type_rollup``."""

    id = models.BigAutoField(primary_key=True)
    span_seconds = models.IntegerField()
    starts_at = models.DateTimeField()
    types = models.JSONField(default=dict)

    objects = JobsManager["TypeRollup"]()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="django_jobs_type_rollup_unique", fields=["span_seconds", "starts_at"]),
        ]

    def __str__(self) -> str:
        return f"{len(self.types)} types from {self.starts_at} for {self.span_seconds} s"


class RollupPosition(models.Model):
    """Position of the rollup in a table: every row up to ``done_id`` is aggregated.

    ``seen_id`` was the newest row at ``seen_at``. Rows up to it are aggregated once no transaction that was open then
    can still commit a lower id. The backlog has no rows to aggregate: ``seen_at`` is the time of its last sample.
    """

    class Source(models.TextChoices):
        """Aggregated table, or the backlog."""

        ATTEMPTS = "attempts"
        DEAD_LETTERS = "dead_letters"
        BACKLOG = "backlog"

    source = models.CharField(max_length=20, choices=Source.choices, primary_key=True)
    done_id = models.BigIntegerField(default=0)
    seen_id = models.BigIntegerField(default=0)
    seen_at = models.DateTimeField(null=True)

    objects = JobsManager["RollupPosition"]()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.source} up to {self.done_id}"


class JobIdCheckpoint(models.Model):
    """The newest job's id at an instant: finds a time in the jobs table without an index on times."""

    recorded_at = models.DateTimeField(primary_key=True)
    job_id = models.BigIntegerField()

    objects = JobsManager["JobIdCheckpoint"]()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"job {self.job_id} at {self.recorded_at}"


class DeadLetterGroup(models.Model):
    """Dead letters of one fingerprint: counts, first and last time, mute, resolution and note.

    Open dead letters = ``open`` + those not aggregated yet. The error is the newest one, truncated. Muted groups send
    no alert and are not listed as open. ``regressed_at`` is the first death after ``resolved_at``, up to where dead
    letters are aggregated.
    """

    fingerprint = models.CharField(max_length=FINGERPRINT_LENGTH, primary_key=True)
    job_name = NameField(max_length=MAX_NAME_LENGTH)
    queue_name = NameField(max_length=MAX_QUEUE_NAME_LENGTH)
    reason = models.CharField(max_length=20, choices=[(reason.value, reason.value) for reason in DeathReason])
    error_class = models.CharField(max_length=MAX_ERROR_CLASS_LENGTH, default="")
    error_message = models.CharField(max_length=MAX_SAMPLE_LENGTH, default="")
    first_died_at = models.DateTimeField()
    last_died_at = models.DateTimeField()
    total = models.BigIntegerField(default=0)
    open = models.BigIntegerField(default=0)
    muted_at = models.DateTimeField(null=True)
    muted_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")
    regressed_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=MAX_NOTE_LENGTH, default="", blank=True)
    noted_at = models.DateTimeField(null=True)
    noted_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")

    objects = JobsManager["DeadLetterGroup"]()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(name="django_jobs_group_last_died", fields=["last_died_at"])]

    def __str__(self) -> str:
        return f"{self.job_name}: {class_text(self.error_class) or self.reason}"


class DeadLetterHour(models.Model):
    """Number of dead letters of one fingerprint in one hour, for the group's sparkline."""

    id = models.BigAutoField(primary_key=True)
    fingerprint = models.CharField(max_length=FINGERPRINT_LENGTH)
    starts_at = models.DateTimeField()
    number = models.IntegerField(default=0)

    objects = JobsManager["DeadLetterHour"]()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="django_jobs_dead_hour_unique", fields=["fingerprint", "starts_at"]),
        ]
        indexes = [models.Index(name="django_jobs_dead_hour_start", fields=["starts_at"])]

    def __str__(self) -> str:
        return f"{self.number} of {self.fingerprint} from {self.starts_at}"
