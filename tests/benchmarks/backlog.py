"""Fill a table with jobs that are not the ones measured, by statements that make their rows themselves.

The same rows go into the engine's tables and the limit's, as far as those have the columns. Each million
comes before the measured jobs, so its ids are lower and its ready instants earlier.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing

from django.db.models import Model

from django_jobs.models import Attempt, Job

from .options import Sizes
from .queue_names import OTHER_QUEUE, QUEUE
from .servers import Server

DIGITS = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
NUMBERS = " + ".join(f"{10**at} * n{at}.d" for at in range(5))
FROM_DIGITS = " CROSS JOIN ".join(f"({DIGITS}) AS n{at}" for at in range(5))
ROWS_PER_STATEMENT = 100_000
"""As many as five digits count."""

HOUR, DAY = 3_600, 86_400
LIMIT_COLUMNS = frozenset(
    {"name", "queue_name", "priority", "state", "arguments", "attempt", "claim_number"}
    | {"enqueued_at", "run_after", "ready_at", "started_at", "finished_at"}
)

Columns = Mapping[str, str]
Fill = Callable[[Server, Sizes, str], None]
"""Fills the tables whose names begin with the prefix: ``django_jobs`` or ``limit``."""


def waiting(server: Server, sizes: Sizes, prefix: str) -> None:
    """Half of them in a queue that nobody serves, half in the same queue at a lower priority."""
    ready = {"state": "'ready'", "enqueued_at": server.instant(f"-{HOUR}")} | _ready(server, HOUR)
    fill_jobs(server, prefix, sizes.waiting // 2, ready | {"queue_name": f"'{OTHER_QUEUE}'"})
    fill_jobs(server, prefix, sizes.waiting // 2, ready | {"priority": "-10"})


def scheduled(server: Server, sizes: Sizes, prefix: str) -> None:
    """In the same queue and priority, due from an hour from now on, a second apart."""
    columns = {
        "state": "'scheduled'",
        "enqueued_at": server.instant(f"-{HOUR}"),
        "run_after": server.instant(f"{HOUR} + number.n"),
    }
    fill_jobs(server, prefix, sizes.scheduled, columns)


def finished(server: Server, sizes: Sizes, prefix: str) -> None:
    """Succeeded a day ago, each with its attempt: too young to be pruned."""
    _finished(server, prefix, sizes.finished, DAY)


def pruning(server: Server, sizes: Sizes, prefix: str) -> None:
    """Succeeded long ago, each with its attempt: the worker prunes them."""
    _finished(server, prefix, sizes.pruning, 40 * DAY)


def not_pruning(server: Server, sizes: Sizes, prefix: str) -> None:
    """As many, but too young."""
    _finished(server, prefix, sizes.pruning, DAY)


def _finished(server: Server, prefix: str, number: int, age: int) -> None:
    then = server.instant(f"-{age}")
    columns = {"state": "'succeeded'", "attempt": "1", "claim_number": "1", "enqueued_at": then}
    columns |= {"started_at": then, "finished_at": then} | _ready(server, age)
    fill_jobs(server, prefix, number, columns)
    attempt = {
        "job_id": "job.id",
        "claim_number": "1",
        "outcome": "'succeeded'",
        "ready_at": "job.ready_at",
        "started_at": "job.started_at",
        "finished_at": "job.finished_at",
    }
    if prefix != "limit":
        attempt = defaults(Attempt) | {"number": "1"} | attempt
    jobs = f"{prefix}_job AS job WHERE job.state = 'succeeded'"
    execute(server, [insert(f"{prefix}_attempt", attempt, jobs)])


def _ready(server: Server, seconds: int) -> Columns:
    return {"ready_at": server.instant(f"-{seconds}")}


def fill_jobs(server: Server, prefix: str, total: int, given: Columns) -> None:
    """Insert ``total`` jobs; ``given`` maps columns to SQL, in which ``number.n`` counts from 0."""
    columns = {
        "name": "'tests.benchmarks.jobs.noop'",
        "queue_name": f"'{QUEUE}'",
        "priority": "0",
        "arguments": """'{"x": 1}'""",
        "attempt": "0",
        "claim_number": "0",
        **given,
    }
    if prefix == "limit":
        columns = {name: value for name, value in columns.items() if name in LIMIT_COLUMNS}
    else:
        columns = defaults(Job) | {"max_attempts": "5"} | columns
    statements = []
    for start in range(0, total, ROWS_PER_STATEMENT):
        number = min(ROWS_PER_STATEMENT, total - start)
        rows = f"(SELECT {start} + {NUMBERS} AS n FROM {FROM_DIGITS}) AS number WHERE n < {start + number}"
        statements.append(insert(f"{prefix}_job", columns, rows))
    execute(server, statements)


def defaults(model: type[Model]) -> Columns:
    """Return what Django would write into the columns that a plain INSERT must not leave out."""
    given = {field.column: field.get_default() for field in model._meta.concrete_fields if not field.null}
    return {column: _literal(value) for column, value in given.items() if value is not None}


def _literal(value: object) -> str:
    if isinstance(value, int):
        return str(value)
    return f"'{json.dumps(value) if isinstance(value, dict | list) else value}'"


def insert(table: str, columns: Columns, rows: str) -> str:
    """Return the statement that makes a row of ``columns`` for each of ``rows``."""
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {rows}"


def execute(server: Server, statements: Iterable[str]) -> None:
    """Run the statements, each with a commit of its own."""
    with closing(server.connect()) as connection, closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)


def nothing(server: Server, sizes: Sizes, prefix: str) -> None:
    """Leave the tables empty."""


FILLS: Mapping[str, Fill] = {
    "waiting": waiting,
    "scheduled": scheduled,
    "finished": finished,
    "pruning": pruning,
    "not_pruning": not_pruning,
}


@functools.cache
def fill_of(measure: str) -> Fill:
    """Return what fills the tables before the drain of that name."""
    return FILLS.get(measure, nothing)
