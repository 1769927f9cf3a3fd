"""Batches, their member jobs, and count changes that are not applied yet."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..policy.batches import MAX_DESCRIPTION_LENGTH, BatchFacts, BatchState, Counts
from .base import MAX_ACTOR_LENGTH, JobsManager
from .job import Job
from .labels import BATCH_STATE_LABELS, choices


class Batch(models.Model):
    """Jobs enqueued as one unit, and the callbacks enqueued when all of them have ended.

    The four counts exclude changes still in ``BatchCountDelta``. ``outcome`` is the state in which the batch last
    completed, empty before that; ``completed_at`` is its first completion. ``last_activity_at`` is the builder's last
    sign of life. A callback is stored as the fields of ``NewJob`` plus arguments.
    """

    id = models.BigAutoField(_("ID"), primary_key=True)
    description = models.CharField(_("description"), max_length=MAX_DESCRIPTION_LENGTH, default="", blank=True)
    state = models.CharField(
        _("state"),
        max_length=10,
        choices=choices(BATCH_STATE_LABELS),
        default=BatchState.OPEN.value,
    )
    outcome = models.CharField(max_length=10, default="", blank=True)
    parent = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="children",
    )
    on_success = models.JSONField(null=True)
    on_failure = models.JSONField(null=True)
    on_complete = models.JSONField(null=True)

    total = models.BigIntegerField(default=0)
    succeeded = models.BigIntegerField(default=0)
    dead = models.BigIntegerField(_("dead"), default=0)
    cancelled = models.BigIntegerField(_("cancelled"), default=0)

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
        return f"{self.description or gettext('batch')} #{self.pk} ({self.get_state_display()})"

    @property
    def counts(self) -> Counts:
        """The applied counts; ``operations.batch_progress`` adds pending deltas."""
        return Counts(self.total, self.succeeded, self.dead, self.cancelled)

    def facts(self, counts: Counts) -> BatchFacts:
        """Return the input of ``policy.batches.decide_batch`` with these counts."""
        return BatchFacts(
            counts=counts,
            is_closed=self.closed_at is not None,
            is_abandoned=self.abandoned_at is not None,
            is_cancelled=self.cancelled_at is not None,
            outcome=BatchState(self.outcome) if self.outcome else None,
        )


class BatchJob(models.Model):
    """Membership of a job in a batch. A separate table, so that other jobs pay for no column and no index."""

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
    """A change of a batch's counts that is not applied yet. Rows are inserted, and deleted when applied.

    A thousand jobs that finish at once therefore write to no common row. Batches with deltas are due for evaluation.
    """

    id = models.BigAutoField(primary_key=True)
    batch = models.ForeignKey(
        Batch, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="count_deltas"
    )
    total = models.IntegerField(default=0)
    succeeded = models.IntegerField(default=0)
    dead = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0)

    objects = JobsManager["BatchCountDelta"]()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(name="django_jobs_count_delta_batch", fields=["batch", "id"])]

    def __str__(self) -> str:
        return f"batch {self.batch_id}: {self.total:+} {self.succeeded:+} {self.dead:+} {self.cancelled:+}"
