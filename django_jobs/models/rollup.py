"""What the admin's pages count by, kept by workers' maintenance so that no page counts a table of jobs.

``store/stats/rollup.py`` folds attempts and dead letters into these rows, each of them exactly once, a few
seconds after they were written.
"""

from __future__ import annotations

from django.db import models

from ..conf import MAX_NAME_LENGTH, MAX_QUEUE_NAME_LENGTH
from ..policy.fingerprint import FINGERPRINT_LENGTH
from ..policy.outcomes import DeathReason
from .attempt import MAX_ERROR_CLASS_LENGTH
from .base import MAX_ACTOR_LENGTH, MAX_NOTE_LENGTH, JobsManager, NameField

MAX_SAMPLE_LENGTH = 500


class Rollup(models.Model):
    """What ended in one queue, or in all (``policy.rollup.ALL_QUEUES``), in one span of time.

    ``span_seconds`` is one of ``policy.histogram.SPANS``. ``waits`` and ``runs`` map a bucket of
    ``policy.histogram`` to how many tries waited, or ran, that long.
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

    objects = JobsManager["Rollup"]()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                name="django_jobs_rollup_once", fields=["span_seconds", "starts_at", "queue_name"]
            ),
        ]

    def __str__(self) -> str:
        return f"{self.queue_name} from {self.starts_at} for {self.span_seconds} s"


class RollupPosition(models.Model):
    """How far a table has been folded: every row up to ``done_id``.

    ``seen_id`` was the newest row at ``seen_at``; what is not newer is folded once it cannot be
    overtaken any more by a commit that came late.
    """

    class Source(models.TextChoices):
        """Which table."""

        ATTEMPTS = "attempts"
        DEAD_LETTERS = "letters"

    source = models.CharField(max_length=10, choices=Source.choices, primary_key=True)
    done_id = models.BigIntegerField(default=0)
    seen_id = models.BigIntegerField(default=0)
    seen_at = models.DateTimeField(null=True)

    objects = JobsManager["RollupPosition"]()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.source} up to {self.done_id}"


class JobIdCheckpoint(models.Model):
    """The newest job's id at an instant: a time is found in a table of jobs by it, without an index of times."""

    marked_at = models.DateTimeField(primary_key=True)
    job_id = models.BigIntegerField()

    objects = JobsManager["JobIdCheckpoint"]()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"job {self.job_id} at {self.marked_at}"


class DeadLetterGroup(models.Model):
    """The dead letters of one fingerprint: how many, since when, what staff made of them.

    ``open`` + the letters that are not folded yet = the open letters. Fields of the error are the
    newest letter's, cut. A muted group is kept out of mails and of the open groups' list.
    """

    fingerprint = models.CharField(max_length=FINGERPRINT_LENGTH, primary_key=True)
    job_name = NameField(max_length=MAX_NAME_LENGTH)
    queue_name = NameField(max_length=MAX_QUEUE_NAME_LENGTH)
    reason = models.CharField(max_length=20, choices=[(one.value, one.value) for one in DeathReason])
    error_class = models.CharField(max_length=MAX_ERROR_CLASS_LENGTH, default="")
    error_message = models.CharField(max_length=MAX_SAMPLE_LENGTH, default="")
    first_died_at = models.DateTimeField()
    last_died_at = models.DateTimeField()
    total = models.BigIntegerField(default=0)
    open = models.BigIntegerField(default=0)
    muted_at = models.DateTimeField(null=True)
    muted_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")
    note = models.CharField(max_length=MAX_NOTE_LENGTH, default="", blank=True)
    noted_at = models.DateTimeField(null=True)
    noted_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")

    objects = JobsManager["DeadLetterGroup"]()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(name="django_jobs_group_last", fields=["last_died_at"])]

    def __str__(self) -> str:
        return f"{self.job_name}: {self.error_class or self.reason}"


class DeadLetterHour(models.Model):
    """How many letters of one fingerprint came in one hour: the group's sparkline."""

    id = models.BigAutoField(primary_key=True)
    fingerprint = models.CharField(max_length=FINGERPRINT_LENGTH)
    starts_at = models.DateTimeField()
    number = models.IntegerField(default=0)

    objects = JobsManager["DeadLetterHour"]()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="django_jobs_letter_hour_once", fields=["fingerprint", "starts_at"]),
        ]
        indexes = [models.Index(name="django_jobs_letter_hour_start", fields=["starts_at"])]

    def __str__(self) -> str:
        return f"{self.number} of {self.fingerprint} from {self.starts_at}"
