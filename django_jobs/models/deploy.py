"""Deploys: when workers of a project first reported another release."""

from __future__ import annotations

from django.db import models

from ..conf.readers import MAX_PROJECT_LENGTH, MAX_RELEASE_LENGTH
from .base import JobsManager, NameField


class Deploy(models.Model):
    """A release that workers of a project began to run. A return to an earlier release is a deploy of its own.

    ``number`` is one more than that of the deploy before it; being unique, it lets one of the workers that start at
    once record the deploy. ``last_seen_at``: when a worker with this release last started.
    """

    id = models.BigAutoField(primary_key=True)
    project = NameField(max_length=MAX_PROJECT_LENGTH)
    number = models.IntegerField()
    release = NameField(max_length=MAX_RELEASE_LENGTH)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    objects = JobsManager["Deploy"]()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(name="django_jobs_deploy_unique", fields=["project", "number"])]
        indexes = [models.Index(name="django_jobs_deploy_first_seen", fields=["first_seen_at"])]

    def __str__(self) -> str:
        return f"{self.release} of {self.project} at {self.first_seen_at}"
