"""Collect what ``manage.py jobs doctor`` says: facts from the store, calls from the code, findings from policy."""

from __future__ import annotations

from .. import registry
from ..arguments.serialization import decode
from ..conf import get_settings
from ..policy.doctor import Finding, RowFacts, ServerFacts, diagnose
from ..store.doctor import rows as examine
from ..store.doctor.schema import read_schema
from ..store.doctor.server import read_server

MAX_CALLS_CHECKED = 1_000
MAX_CALLS_REPORTED = 10


def run_doctor() -> list[Finding]:
    """Examine tables, rows and server of the jobs' database and return what is wrong, problems first. Reads only."""
    settings = get_settings()
    using = settings.database
    schema = read_schema(using=using)
    if schema.unapplied:
        return diagnose(rows=RowFacts(), server=ServerFacts(), schema=schema)
    rows = RowFacts(
        silent_workers=examine.silent_workers(stale_after=settings.worker.stale_after, using=using),
        orphaned=examine.orphaned_jobs(using=using),
        inconsistent=examine.inconsistent_jobs(using=using),
        missing_finished_at=examine.jobs_without_finish_time(using=using),
        unknown=examine.unknown_jobs(using=using),
        unreadable=_find_uncallable(using),
    )
    return diagnose(rows=rows, server=read_server(using=using), schema=schema)


def _find_uncallable(using: str) -> list[tuple[int, str]]:
    """Try the arguments of jobs that wait against the functions they are for, without calling these."""
    found: list[tuple[int, str]] = []
    for job in examine.waiting_jobs(limit=MAX_CALLS_CHECKED, using=using):
        definition = registry.find(job.name)
        if definition is None:
            continue
        try:
            args, kwargs = definition.signature.call_arguments(decode(job.arguments))
            definition.signature.signature.bind(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a model instance is loaded, which may raise anything
            found.append((job.pk, f"{type(error).__name__}: {error}"))
            if len(found) == MAX_CALLS_REPORTED:
                break
    return found
