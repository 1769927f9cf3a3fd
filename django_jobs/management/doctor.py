"""Checks of ``manage.py jobs doctor``: facts from the database, findings from policy."""

from __future__ import annotations

from .. import registry
from ..arguments.serialization import decode, fill_in_results
from ..conf import get_settings
from ..conf.database import current_database
from ..policy.doctor import Finding, RowFacts, ServerFacts, Severity, diagnose
from ..store.doctor import rows as doctor_rows
from ..store.doctor.schema import read_schema
from ..store.doctor.server import read_server
from ..store.future_instants import future_instants
from .broker_checks import check_brokers
from .each_database import read_databases

MAX_CALLS_CHECKED = 1_000
MAX_CALLS_REPORTED = 10
MAX_PREDECESSORS = 10_000
_RESULTS = (lambda: None,) * MAX_PREDECESSORS
"""In place of the results of predecessors, which a waiting job does not have yet."""
MAX_WINDOWS = 100


def run_doctor() -> list[Finding]:
    """Check schema, rows and server of the jobs' database, and brokers with the first; return findings, problems first.

    Read-only.
    """
    settings = get_settings()
    using = current_database()
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
        in_future=_count_future_instants(using),
        wrong_permits=doctor_rows.jobs_with_wrong_permits(using=using),
    )
    brokers = check_brokers() if using == settings.database else ()  # their rows are in the first database
    return [*brokers, *diagnose(rows=rows, server=read_server(using=using), schema=schema)]


def diagnose_databases() -> dict[str, list[Finding]]:
    """Do this with each of the databases of jobs; of one that cannot be used, that is the finding."""
    answers = read_databases(run_doctor)
    down = {alias: [_down(reason)] for alias, reason in answers.down.items()}
    return {alias: answers.read[alias] if alias in answers.read else down[alias] for alias in get_settings().aliases}


def _down(reason: str) -> Finding:
    advice = "Its jobs neither start nor end. See to the server, the network between, and its entry in DATABASES."
    return Finding(severity=Severity.PROBLEM, about="server", what=reason, advice=advice)


def _count_future_instants(using: str) -> list[tuple[str, int]]:
    """Return how many instants of each kind are further ahead than they can be, in the first windows of each table."""
    found: dict[str, int] = {}
    for kind in future_instants(unknown_delay=get_settings().worker.unknown_job_retry_delay):
        position = kind.start
        for _ in range(MAX_WINDOWS):
            number, position = kind.clamp(after=position, dry=True, using=using)
            if number:
                found[kind.name] = found.get(kind.name, 0) + number
            if position is None:
                break
    return list(found.items())


def _find_uncallable(using: str) -> list[tuple[int | str, str]]:
    """Return waiting jobs whose arguments do not fit the function's signature, with the error."""
    found: list[tuple[int | str, str]] = []
    for job in doctor_rows.waiting_jobs(limit=MAX_CALLS_CHECKED, using=using):
        definition = registry.find(job.name)
        if definition is None:
            continue
        try:
            args, kwargs = definition.signature.call_arguments(decode(fill_in_results(job.arguments, _RESULTS)))
            definition.signature.signature.bind(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - loading a model instance may raise anything
            found.append((job.public_id, f"{type(error).__name__}: {error}"))
            if len(found) == MAX_CALLS_REPORTED:
                break
    return found
