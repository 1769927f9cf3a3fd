"""Limits by key, permits of jobs, and signals that new jobs wait for a permit."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..conf.readers import MAX_NAME_LENGTH
from ..policy.limits import MAX_KEY_LENGTH, LimitKind, PermitPhase
from .base import JobsManager, NameField
from .job import Job


class Limit(models.Model):
    """State of one key of one limit. Written and locked by workers only, never in the transaction of an enqueue.

    ``id`` is a hash of kind, name and key (``policy.limits``). ``check_at`` is when a worker next tries to admit a
    waiting job; None: not before a run ends or a job arrives. ``rule`` is the newest definition. ``closed_at`` is when
    ``closed_until`` was written.
    """

    id = models.BigIntegerField(primary_key=True)
    kind = models.SmallIntegerField(choices=[(kind.value, kind.name.lower()) for kind in LimitKind])
    name = NameField(_("name"), max_length=MAX_NAME_LENGTH)
    key = NameField(max_length=MAX_KEY_LENGTH)
    rule = models.JSONField()
    check_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    closed_until = models.DateTimeField(null=True)
    is_tripped = models.BooleanField(default=False)
    failures = models.JSONField(default=list)

    objects = JobsManager["Limit"]()

    class Meta:
        verbose_name = _("limit")
        verbose_name_plural = _("limits")
        default_permissions = ("view",)
        permissions = [("reopen_limit", _("Can reopen closed limits"))]
        indexes = [
            models.Index(name="django_jobs_limit_check", fields=["check_at"]),
            models.Index(name="django_jobs_limit_name", fields=["name", "kind", "key"]),
        ]

    def __str__(self) -> str:
        # Kept in Django's admin log, which more people may read than the key: that is made of arguments.
        return f"{LimitKind(self.kind).name.lower()} {self.name} #{self.pk}"


class Permit(models.Model):
    """A job's claim on one limit, waiting or granted.

    ``run`` is 0 for the job's next or current run, else the claim number of an earlier run that still counts.
    ``since`` is the start of the ``phase``; a cooling permit counts until ``free_at``. ``is_last`` marks the last
    permit the job needs. Waiting permits are ordered by ``urgency`` and job id. The key is composite because a
    surrogate one would cost each write one more index.
    """

    pk = models.CompositePrimaryKey("job_id", "limit_id", "run")
    job = models.ForeignKey(
        Job, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="permits"
    )
    limit = models.ForeignKey(
        Limit, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="permits"
    )
    run = models.IntegerField(default=0)
    kind = models.SmallIntegerField()
    phase = models.SmallIntegerField(choices=[(phase.value, phase.name.lower()) for phase in PermitPhase])
    urgency = models.SmallIntegerField(default=0)
    since = models.DateTimeField()
    free_at = models.DateTimeField(null=True)
    is_last = models.BooleanField(default=True)

    objects = JobsManager["Permit"]()

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(name="django_jobs_permit_order", fields=["limit", "phase", "urgency", "job"]),
        ]

    def __str__(self) -> str:
        return f"job {self.job_id} at limit {self.limit_id}: {PermitPhase(self.phase).name.lower()}"


class LimitSignal(models.Model):
    """Signal to workers that a job waits for a limit, with the limit's definition.

    Inserted by an enqueue, which therefore locks only its own rows: two enqueues never wait for each other, however
    long their transactions last. Workers consume signals and open the limits.
    """

    id = models.BigAutoField(primary_key=True)
    limit_id = models.BigIntegerField()
    name = NameField(max_length=MAX_NAME_LENGTH, default="")
    key = NameField(max_length=MAX_KEY_LENGTH, default="")
    rule = models.JSONField(null=True)

    objects = JobsManager["LimitSignal"]()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"signal for limit {self.limit_id}"
