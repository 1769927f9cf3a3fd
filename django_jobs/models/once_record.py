"""Records of committed ``once(...)`` blocks, with the value each stored."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..policy.uniqueness import MAX_KEY_LENGTH
from .base import JobsManager, NameField


class OnceRecord(models.Model):
    """Inserted in the transaction of the block. ``job_id`` is the job that ran it, None outside a job.

    ``digest`` is a unique hash of the key.
    """

    digest = models.UUIDField(primary_key=True)
    key = NameField(_("key"), max_length=MAX_KEY_LENGTH)
    job_id = models.BigIntegerField(null=True)
    stored = models.JSONField(null=True)
    recorded_at = models.DateTimeField()

    objects = JobsManager["OnceRecord"]()

    class Meta:
        verbose_name = _("once record")
        verbose_name_plural = _("once records")
        default_permissions = ("view",)
        indexes = [models.Index(name="django_jobs_once_recorded", fields=["recorded_at", "digest"])]

    def __str__(self) -> str:
        # Shown in page titles: the key itself may contain arguments.
        return self.digest.hex[:8]
