"""Read the arguments of a page's jobs for a list, which has no room for long ones."""

from __future__ import annotations

from typing import Any

from django.db.models import TextField
from django.db.models.functions import Cast, Length

from ...models import Job

MAX_CHARS = 4_000
"""Longer arguments stay in the database: a page of fifty could be as many megabytes."""


def read_page_arguments(ids: list[int], *, using: str) -> dict[int, Any]:
    """Return job id -> stored arguments; without the jobs whose arguments are long. One statement."""
    jobs = Job.objects.using(using).filter(pk__in=ids)
    short = jobs.annotate(chars=Length(Cast("arguments", TextField()))).filter(chars__lte=MAX_CHARS)
    return dict(short.values_list("pk", "arguments"))
