"""Dependencies between jobs: one row per edge of the graph."""

from __future__ import annotations

from django.db import models

from ..policy.graph import OnDead
from .base import JobsManager
from .job import Job

SUCCESSORS_INDEX = "django_jobs_dep_predecessor"
"""Index of a job's dependents."""


class Dependency(models.Model):
    """``job`` is blocked until ``predecessor`` has succeeded; ``is_met`` is final once true.

    ``position`` is the order in which predecessors' results are passed to the job.
    """

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(
        Job,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="dependencies",
    )
    predecessor = models.ForeignKey(
        Job,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="dependents",
    )
    position = models.IntegerField(default=0)
    on_dead = models.CharField(
        max_length=6, choices=[(value.value, value.value) for value in OnDead], default=OnDead.BLOCK.value
    )
    is_met = models.BooleanField(default=False)

    objects = JobsManager["Dependency"]()

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(name="django_jobs_dep_unmet", fields=["is_met", "job"]),
            models.Index(name=SUCCESSORS_INDEX, fields=["predecessor", "job"]),
        ]

    def __str__(self) -> str:
        return f"job {self.job_id} depends on job {self.predecessor_id}"
