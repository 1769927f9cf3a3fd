"""Find rows of every kind by what somebody typed: an id, a part of a name, an error.

Each function takes one statement, over at most 2,000 rows that are read by an index, the newest first where there may
be more. What is typed is compared in Python, so that it reaches no statement and no text of it is special.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Left

from ...models import Batch, CronSchedule, DeadLetterGroup, Job, Limit, Worker
from ...policy.filter_values import MAX_ID
from ...policy.name_search import best_matches
from ..dialects import open_dialect

MAX_READ = 2_000
MAX_MESSAGE = 200
"""Characters of an error's message that are compared and shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A row that matches: its key, its name, and what else tells it apart."""

    pk: Any
    name: str
    note: str = ""


def find_job_by_id(job_id: int, *, using: str | None = None) -> Found | None:
    """Return a job by its id."""
    rows = Job.objects.using(_alias(using)).filter(pk=min(job_id, MAX_ID))
    found = rows.values_list("pk", "name", "state").first()
    return None if found is None else Found(pk=found[0], name=found[1], note=found[2])


def find_schedules(query: str, *, limit: int, using: str | None = None) -> list[Found]:
    """Return schedules by their name or that of their job."""
    rows = CronSchedule.objects.using(_alias(using)).order_by("name").values_list("pk", "name", "job_name")[:MAX_READ]
    found = ((f"{name} {job_name}", Found(pk=pk, name=name, note=job_name)) for pk, name, job_name in rows)
    return _best(found, query, limit)


def find_workers(query: str, *, limit: int, using: str | None = None) -> list[Found]:
    """Return workers by their host, their process id or their id; the newest first."""
    rows = Worker.objects.using(_alias(using)).order_by("-pk").values_list("pk", "hostname", "pid", "state")[:MAX_READ]
    found = (
        (f"{hostname}:{pid} #{pk}", Found(pk=pk, name=f"{hostname}:{pid}", note=state))
        for pk, hostname, pid, state in rows
    )
    return _best(found, query, limit)


def find_batches(query: str, *, limit: int, using: str | None = None) -> list[Found]:
    """Return batches by their description or id; the newest first."""
    rows = Batch.objects.using(_alias(using)).order_by("-pk").values_list("pk", "description", "state")[:MAX_READ]
    found = ((f"{text} #{pk}", Found(pk=pk, name=f"{text} #{pk}".strip(), note=state)) for pk, text, state in rows)
    return _best(found, query, limit)


def find_limits(query: str, *, limit: int, using: str | None = None) -> list[Found]:
    """Return names of limits."""
    rows = Limit.objects.using(_alias(using)).order_by("name", "kind", "key").values_list("name", flat=True)
    return _best(((name, Found(pk=name, name=name)) for name in dict.fromkeys(rows[:MAX_READ])), query, limit)


def find_errors(query: str, *, limit: int, with_messages: bool, using: str | None = None) -> list[Found]:
    """Return groups of dead letters by the error's class, the job and, ``with_messages``, the message; newest first."""
    rows = DeadLetterGroup.objects.using(_alias(using)).order_by("-last_died_at", "-fingerprint")
    columns = ("fingerprint", "error_class", "reason", "job_name", Left("error_message", MAX_MESSAGE))
    found = []
    for fingerprint, error_class, reason, job_name, message in rows.values_list(*columns)[:MAX_READ]:
        error = error_class or reason
        shown = message.partition("\n")[0] if with_messages else ""
        note = f"{job_name}: {shown}" if shown else job_name
        found.append((f"{error} {note}", Found(pk=fingerprint, name=error, note=note)))
    return _best(found, query, limit)


def _best(rows: Iterable[tuple[str, Found]], query: str, limit: int) -> list[Found]:
    return best_matches(rows, query, limit=limit)


def _alias(using: str | None) -> str:
    _, connection = open_dialect(using)
    return connection.alias
