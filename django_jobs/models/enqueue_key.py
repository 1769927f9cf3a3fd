"""Idempotency and unique keys, each with the job that holds it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..conf.readers import MAX_NAME_LENGTH
from ..policy.uniqueness import MAX_KEY_LENGTH, KeyKind
from .base import JobsManager, NameField
from .job import Job


class EnqueueKey(models.Model):
    """A key of one job name. ``digest`` is a unique hash of kind, job name and key.

    ``expires_at`` ends the window of an idempotency key. A unique key holds while its job is in certain states; from
    ``expires_at`` on, maintenance deletes the row if the job has left them.
    """

    digest = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=11, choices=[(kind.value, kind.value) for kind in KeyKind])
    job_name = NameField(_("job name"), max_length=MAX_NAME_LENGTH)
    key = NameField(_("key"), max_length=MAX_KEY_LENGTH)
    job = models.ForeignKey(Job, on_delete=models.DO_NOTHING, db_constraint=False, related_name="keys")
    acquired_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    objects = JobsManager["EnqueueKey"]()

    class Meta:
        verbose_name = _("enqueue key")
        verbose_name_plural = _("enqueue keys")
        default_permissions = ("view",)
        indexes = [models.Index(name="django_jobs_key_expires", fields=["expires_at", "digest"])]

    def __str__(self) -> str:
        # Shown in page titles: the key itself may contain arguments.
        return f"{self.job_name} {self.digest.hex[:8]}"
