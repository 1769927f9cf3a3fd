"""Limits by key, the permits that jobs need of them, and the notices that jobs have come to wait."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..conf import MAX_NAME_LENGTH
from ..policy.limits import MAX_KEY_LENGTH, LimitKind, PermitPhase
from .base import JobsManager, NameField
from .job import Job


class Limit(models.Model):
    """One key of one limit. Made, changed and locked by workers only, never in the transaction of an enqueue.

    ``id`` is made of kind, name and key (``policy.limits.need``). ``check_at``: when a worker is to look whether a
    permit can be given out; None: not before a run ends or a job comes. ``rule`` is the newest definition's.
    """

    id = models.BigIntegerField(primary_key=True)
    kind = models.SmallIntegerField(choices=[(kind.value, kind.name.lower()) for kind in LimitKind])
    name = NameField(max_length=MAX_NAME_LENGTH)
    key = NameField(max_length=MAX_KEY_LENGTH)
    rule = models.JSONField()
    check_at = models.DateTimeField(null=True)
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
            models.Index(name="django_jobs_limit_open", fields=["check_at"]),
            models.Index(name="django_jobs_limit_name", fields=["name", "kind", "key"]),
        ]

    def __str__(self) -> str:
        return f"{LimitKind(self.kind).name.lower()} {self.name} {self.key}".rstrip()


class Permit(models.Model):
    """What a job needs, or has, of one limit.

    ``run`` is 0 for the job's next run or the one at hand, else the claim number of an earlier one whose use still
    counts. ``since``: when it came into its ``phase``; ``free_at``: until when a cooling one counts. ``is_last``: with
    it the job has all that it needs. Those that wait at a limit are sorted by ``urgency`` and the job's id. There is no
    key of one column, because each write of a permit would have to keep one more index.
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
            models.Index(name="django_jobs_permit_line", fields=["limit", "phase", "urgency", "job"]),
        ]

    def __str__(self) -> str:
        return f"job {self.job_id} at limit {self.limit_id}: {PermitPhase(self.phase).name.lower()}"


class LimitSignal(models.Model):
    """Says, once the transaction of an enqueue has committed, that a job waits at a limit, and the limit's definition.

    So an enqueue locks nothing but its own rows, however long its transaction goes on, and two of them never
    wait for each other. Workers turn notices into limits that are open, and delete them.
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
        return f"notice of limit {self.limit_id}"
