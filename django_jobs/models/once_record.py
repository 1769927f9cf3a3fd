"""One row a block of ``once(...)`` that was committed, and what it stored for those that come after."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..policy.uniqueness import MAX_KEY_LENGTH
from .base import JobsManager, NameField


class OnceRecord(models.Model):
    """Committed together with the block's own writes. ``job_id`` is the job that was first, None outside of one.

    ``digest`` is unique and stands for the whole key.
    """

    digest = models.UUIDField(primary_key=True)
    key = NameField(max_length=MAX_KEY_LENGTH)
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
        # Titles of pages have this: the key itself may have arguments in it.
        return self.digest.hex[:8]
