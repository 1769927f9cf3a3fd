"""That a job waits for another: one row an edge of the graph."""

from __future__ import annotations

from django.db import models

from ..policy.graph import OnDead
from .base import JobsManager
from .job import Job

SUCCESSORS_INDEX = "django_jobs_awaited_by"
"""The index of a job's successors."""


class Dependency(models.Model):
    """``job`` is blocked until ``predecessor`` has succeeded: then ``is_met``, for ever.

    ``position`` numbers those that a job waits for, in the order in which their results are passed to it.
    """

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(
        Job,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="waits_for",
    )
    predecessor = models.ForeignKey(
        Job,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="awaited_by",
    )
    position = models.IntegerField(default=0)
    on_dead = models.CharField(
        max_length=6, choices=[(one.value, one.value) for one in OnDead], default=OnDead.BLOCK.value
    )
    is_met = models.BooleanField(default=False)

    objects = JobsManager["Dependency"]()

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(name="django_jobs_waits_for", fields=["is_met", "job"]),
            models.Index(name=SUCCESSORS_INDEX, fields=["predecessor", "job"]),
        ]

    def __str__(self) -> str:
        return f"job {self.job_id} waits for job {self.predecessor_id}"
