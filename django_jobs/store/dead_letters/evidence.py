"""Read evidence about the open dead letters of one error: the newest traceback, and arguments of a bounded sample."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db.models import TextField
from django.db.models.functions import Cast, Length, Right

from ...models import DeadLetter, Job

SAMPLE_SIZE = 100
"""Newest open dead letters whose jobs' arguments are read."""
MAX_QUEUES = 5
MAX_ARGUMENTS_CHARS = 10_000
"""Jobs with longer arguments are left out."""


def newest_traceback(fingerprint: str, *, max_chars: int) -> tuple[int, str] | None:
    """Return the id and the end of the traceback of the newest open dead letter of an error; None without one."""
    rows = DeadLetter.objects.filter(status=DeadLetter.Status.OPEN, fingerprint=fingerprint).order_by("-pk")
    return rows.annotate(tail=Right("traceback", max_chars)).values_list("pk", "tail").first()


def newest_queues(fingerprint: str) -> list[tuple[str, int]]:
    """Return the queues of the newest open dead letters of an error with their numbers, the commonest first."""
    rows = DeadLetter.objects.filter(status=DeadLetter.Status.OPEN, fingerprint=fingerprint).order_by("-pk")
    return Counter(rows.values_list("queue_name", flat=True)[:SAMPLE_SIZE]).most_common(MAX_QUEUES)


def sample_arguments(fingerprint: str) -> list[Any]:
    """Return the arguments, as JSON, of the jobs of the newest open dead letters of an error. Two statements."""
    rows = DeadLetter.objects.filter(status=DeadLetter.Status.OPEN, fingerprint=fingerprint, job__isnull=False)
    ids = list(rows.order_by("-pk").values_list("job_id", flat=True)[:SAMPLE_SIZE])
    jobs = Job.objects.filter(pk__in=ids).annotate(size=Length(Cast("arguments", TextField())))
    return list(jobs.filter(size__lte=MAX_ARGUMENTS_CHARS).order_by("-pk").values_list("arguments", flat=True))
