"""Fill the engine's tables with what a service has behind it, for the pages of the admin.

Of ten jobs seven succeeded, two are dead letters, one waits; some run. Each that has ended has its attempt. They are
of 300 types. Half of the letters share 25 errors, each with more than a page of them even in a small table; the others
lie in groups of ten.
"""

from __future__ import annotations

from datetime import timedelta

from django.apps import apps

from django_jobs import job
from django_jobs.models import Attempt, DeadLetter
from django_jobs.registry import find_registered
from django_jobs.store.stats.rollup import roll_up
from django_jobs.store.workers import register_worker

from .backlog import defaults, execute, fill_jobs, insert
from .queue_names import OTHER_QUEUE
from .servers import Server

HOURS = 12
TYPES = 300
ERRORS = 25
PER_RARE_ERROR = 10
RUNNING = 50
ERROR_CLASS, ERROR_MESSAGE = "shop.partner.Unavailable", "no answer"
TYPE_NAME = "shop.jobs.send_{}"
OWN_JOBS = f"django_jobs_job AS job WHERE job.name LIKE '{TYPE_NAME.format('%')}'"


def fill(server: Server, jobs: int) -> None:
    """Insert ``jobs`` jobs with their attempts and letters, fold them, and have the database look at its tables."""
    spread = f"-{HOURS * 3600} * (1 - number.n * 1.0 / {jobs})"
    then = server.instant(spread)
    times = {"enqueued_at": then, "ready_at": then, "name": _text(TYPE_NAME, f"number.n % {TYPES}")}
    ended = times | {"started_at": then, "finished_at": then, "attempt": "1", "claim_number": "1"}
    arguments = {"arguments": _arguments(server)}
    fill_jobs(server, "django_jobs", jobs * 7 // 10, ended | arguments | {"state": "'succeeded'"})
    fill_jobs(server, "django_jobs", jobs * 2 // 10, ended | arguments | {"state": "'dead'"})
    fill_jobs(
        server,
        "django_jobs",
        jobs // 10,
        times | arguments | {"state": "'ready'", "queue_name": f"'{OTHER_QUEUE}'"},
    )
    worker_id = register_worker(hostname="benchmark", pid=1, queues=None, concurrency=RUNNING, version="0")
    running = ended | {"state": "'running'", "finished_at": "NULL", "worker_id": str(worker_id)}
    fill_jobs(server, "django_jobs", RUNNING, running)
    execute(server, [_attempts(), _letters()])
    while roll_up(min_age=timedelta(0)):
        pass
    server.min_age(*(model._meta.db_table for model in apps.get_app_config("django_jobs").get_models()))


def register_types() -> None:
    """Register the jobs of all types, as the project has them whose admin it is."""
    for number in range(TYPES):
        name = TYPE_NAME.format(number)
        if find_registered(name) is None:
            job(name=name)(_send)


def _send(x: int) -> None:
    """Stand for the function of each type; none of them runs here."""


def _text(pattern: str, number: str) -> str:
    """Return SQL for ``pattern`` with the expression's value in it: databases have no concatenation in common."""
    return f"REPLACE('{pattern}', '{{}}', CAST({number} AS CHAR(7)))"


def _arguments(server: Server) -> str:
    if server.__class__.__name__ == "PostgreSQLServer":
        return "jsonb_build_object('x', number.n)"
    return "json_object('x', number.n)"


def _attempts() -> str:
    columns = defaults(Attempt) | {
        "job_id": "job.id",
        "number": "1",
        "claim_number": "1",
        "outcome": "CASE WHEN job.state = 'dead' THEN 'failed' ELSE 'succeeded' END",
        "error_class": f"CASE WHEN job.state = 'dead' THEN '{ERROR_CLASS}' ELSE '' END",
        "error_message": f"CASE WHEN job.state = 'dead' THEN '{ERROR_MESSAGE}' ELSE '' END",
        "ready_at": "job.ready_at",
        "started_at": "job.started_at",
        "finished_at": "job.finished_at",
    }
    return insert("django_jobs_attempt", columns, f"{OWN_JOBS} AND job.state IN ('succeeded', 'dead')")


def _letters() -> str:
    common = f"CAST(1000000 + job.id % {ERRORS} AS CHAR(7))"
    rare = f"CAST(2000000 + job.id - job.id % {2 * PER_RARE_ERROR} AS CHAR(7))"
    columns = defaults(DeadLetter) | {
        "job_id": "job.id",
        "job_name": "job.name",
        "queue_name": "job.queue_name",
        "reason": "'attempts_used_up'",
        "attempt": "1",
        "error_class": f"'{ERROR_CLASS}'",
        "error_message": f"'{ERROR_MESSAGE}'",
        "traceback": "'Traceback (most recent call last): ...'",
        "fingerprint": f"CASE WHEN job.id % 2 = 0 THEN {common} ELSE {rare} END",
        "died_at": "job.finished_at",
    }
    return insert("django_jobs_deadletter", columns, f"{OWN_JOBS} AND job.state = 'dead'")
