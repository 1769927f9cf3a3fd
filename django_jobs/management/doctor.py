"""Checks of ``manage.py jobs doctor``: facts from the database, findings from policy."""

from __future__ import annotations

from .. import registry
from ..arguments.serialization import decode
from ..conf import get_settings
from ..policy.doctor import Finding, RowFacts, ServerFacts, diagnose
from ..store.doctor import rows as doctor_rows
from ..store.doctor.schema import read_schema
from ..store.doctor.server import read_server

MAX_CALLS_CHECKED = 1_000
MAX_CALLS_REPORTED = 10


def run_doctor() -> list[Finding]:
    """Check schema, rows and server of the jobs' database; return findings, problems first. Read-only."""
    settings = get_settings()
    using = settings.database
    schema = read_schema(using=using)
    if schema.unapplied:
        return diagnose(rows=RowFacts(), server=ServerFacts(), schema=schema)
    rows = RowFacts(
        silent_workers=doctor_rows.silent_workers(stale_after=settings.worker.stale_after, using=using),
        orphaned=doctor_rows.orphaned_jobs(using=using),
        inconsistent=doctor_rows.inconsistent_jobs(using=using),
        missing_finished_at=doctor_rows.jobs_without_finish_time(using=using),
        unknown=doctor_rows.unknown_jobs(using=using),
        unreadable=_find_uncallable(using),
        wrong_permits=doctor_rows.jobs_with_wrong_permits(using=using),
    )
    return diagnose(rows=rows, server=read_server(using=using), schema=schema)


def _find_uncallable(using: str) -> list[tuple[int, str]]:
    """Return waiting jobs whose arguments do not fit the function's signature, with the error."""
    found: list[tuple[int, str]] = []
    for job in doctor_rows.waiting_jobs(limit=MAX_CALLS_CHECKED, using=using):
        definition = registry.find(job.name)
        if definition is None:
            continue
        try:
            args, kwargs = definition.signature.call_arguments(decode(job.arguments))
            definition.signature.signature.bind(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - loading a model instance may raise anything
            found.append((job.pk, f"{type(error).__name__}: {error}"))
            if len(found) == MAX_CALLS_REPORTED:
                break
    return found
