"""Batches: one row each, which jobs are in them, and what has been counted and not yet summed up."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..policy.batches import MAX_DESCRIPTION_LENGTH, BatchFacts, BatchState, Counts
from .base import MAX_ACTOR_LENGTH, JobsManager
from .job import Job


class Batch(models.Model):
    """Jobs that were enqueued as one piece of work, and what is enqueued when all of them have ended.

    The four counts are what has been summed up; ``BatchCountDelta`` has the rest. ``outcome`` is the state in which it
    ended last, empty before it did; ``completed_at`` when it first did. ``last_activity_at``: when its builder last gave a
    sign of life. A callback is what ``NewJob`` has, with its arguments. Written by ``store`` only.
    """

    id = models.BigAutoField(primary_key=True)
    description = models.CharField(max_length=MAX_DESCRIPTION_LENGTH, default="", blank=True)
    state = models.CharField(
        max_length=10, choices=[(one.value, one.value) for one in BatchState], default=BatchState.OPEN.value
    )
    outcome = models.CharField(max_length=10, default="", blank=True)
    parent = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="batches",
    )
    on_success = models.JSONField(null=True)
    on_failure = models.JSONField(null=True)
    on_complete = models.JSONField(null=True)

    total = models.BigIntegerField(default=0)
    succeeded = models.BigIntegerField(default=0)
    dead = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)

    created_at = models.DateTimeField()
    last_activity_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    abandoned_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    cancelled_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")

    objects = JobsManager["Batch"]()

    class Meta:
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        default_permissions = ("view",)
        indexes = [
            models.Index(name="django_jobs_batch_state", fields=["state", "id"]),
            models.Index(name="django_jobs_batch_parent", fields=["parent", "id"]),
        ]

    def __str__(self) -> str:
        return f"{self.description or 'batch'} #{self.pk} ({self.state})"

    @property
    def counts(self) -> Counts:
        """What has been summed up; see ``store.batches.progress`` for the rest."""
        return Counts(self.total, self.succeeded, self.dead, self.cancelled)

    def facts(self, counts: Counts) -> BatchFacts:
        """Return what is judged, with these counts."""
        return BatchFacts(
            counts=counts,
            is_closed=self.closed_at is not None,
            is_abandoned=self.abandoned_at is not None,
            is_cancelled=self.cancelled_at is not None,
            outcome=BatchState(self.outcome) if self.outcome else None,
        )


class BatchJob(models.Model):
    """That a job is in a batch. A row of its own, so that jobs in none have no column, and no index, to pay for."""

    job = models.OneToOneField(
        Job,
        primary_key=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="batch_job",
    )
    batch = models.ForeignKey(
        Batch, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="members"
    )

    objects = JobsManager["BatchJob"]()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(name="django_jobs_batchjob_batch", fields=["batch", "job"])]

    def __str__(self) -> str:
        return f"job {self.job_id} in batch {self.batch_id}"


class BatchCountDelta(models.Model):
    """A change to a batch's counts that has not been added to its row. Rows are only inserted, and deleted when summed.

    So a thousand ends at once write to no row in common. A batch with a tally is one that is still to be looked at.
    """

    id = models.BigAutoField(primary_key=True)
    batch = models.ForeignKey(
        Batch, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="tallies"
    )
    total = models.IntegerField(default=0)
    succeeded = models.IntegerField(default=0)
    dead = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0)

    objects = JobsManager["BatchCountDelta"]()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(name="django_jobs_tally_batch", fields=["batch", "id"])]

    def __str__(self) -> str:
        return f"batch {self.batch_id}: {self.total:+} {self.succeeded:+} {self.dead:+} {self.cancelled:+}"
