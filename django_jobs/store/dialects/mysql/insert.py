"""SQL that inserts jobs on MariaDB and MySQL, one or many; ``jobs.py`` runs it.

What the database's clock does not decide is a constant in the statement. On MariaDB the arguments of many jobs are one
JSON text: rows behind VALUES took the client twenty times and the server twice as long. Each is a string in it, because
MariaDB reads 32 levels of JSON only. Other inserts into the table wait for the end of that statement (not of its
transaction), about 35 ms for 5,000 jobs: InnoDB does not know how many ids it needs (``innodb_autoinc_lock_mode=1``).
MySQL, which returns no ids, numbers only rows behind VALUES without gaps.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any, NamedTuple

from ....policy.states import State
from ..base.jobs import GIVEN_COLUMNS, METADATA_AT, Inserted, NewJob, as_inserted
from .statements import NOW

MAX_JSON_LENGTH = 4_000_000
"""A longer text may not fit into MariaDB's default ``max_allowed_packet``, as quotes in it are escaped twice."""

_INTO = f"""
INSERT INTO django_jobs_job
    ({", ".join(GIVEN_COLUMNS)}, arguments, state, enqueued_at, run_after, ready_at,
     attempt, claim_number, worker_deaths, progress_message)
"""
_GIVEN = ["%s"] * len(GIVEN_COLUMNS)
_GIVEN_APART = [*_GIVEN[:METADATA_AT], "given.metadata", *_GIVEN[METADATA_AT + 1 :]]
_ROW = f"{', '.join(_GIVEN)}, {{arguments}}, {{due}}, 0, 0, 0, ''"
_EACH = """JSON_TABLE(%s, '$[*]' COLUMNS (
    place FOR ORDINALITY, arguments longtext CHARACTER SET utf8mb4 PATH '$')) AS given"""
_EACH_APART = """JSON_TABLE(%s, '$[*]' COLUMNS (
    place FOR ORDINALITY, arguments longtext CHARACTER SET utf8mb4 PATH '$[0]',
    metadata longtext CHARACTER SET utf8mb4 PATH '$[1]')) AS given"""
INSERT_ROWS = f"{_INTO} VALUES {{rows}}"
INSERT_EACH = f"{_INTO} SELECT {_ROW.format(arguments='given.arguments', due='{due}')} FROM {_EACH} ORDER BY place"
INSERT_EACH_APART = f"""{_INTO} SELECT {", ".join(_GIVEN_APART)}, given.arguments, {{due}}, 0, 0, 0, ''
FROM {_EACH_APART} ORDER BY place"""
INSERTED = "SELECT id, {decided} FROM django_jobs_job WHERE id >= %s ORDER BY id LIMIT %s"

_AT_ONCE = {
    State.READY: f"'ready', {NOW}, NULL, {NOW}",
    State.BLOCKED: f"'blocked', {NOW}, NULL, NULL",
}
_DUE = f"""IF({{due}} > {NOW}, 'scheduled', '{{state}}'), {NOW}, IF({{due}} > {NOW}, {{due}}, NULL),
 IF({{due}} > {NOW} OR '{{state}}' = 'blocked', NULL, {NOW})"""
_ENQUEUED_AT = "CAST(enqueued_at AS CHAR)"


class Due(NamedTuple):
    """The expressions of state, enqueued_at, run_after and ready_at, their values, and what the statement returns.

    Instants are returned as text: the driver makes a datetime of each in Python, and those of all rows are the same.
    """

    due: str
    values: Sequence[Any]
    at_once: State
    decided: str = f"state, {_ENQUEUED_AT}, CAST(run_after AS CHAR), CAST(ready_at AS CHAR)"

    def inserted(self, rows: Sequence[tuple[Any, ...]]) -> list[Inserted]:
        """Return new jobs from their ids and the columns ``decided``, in the order of their ids."""
        _, *decided = rows[0]
        if len(decided) == 1:
            decided = [self.at_once, *decided, None, decided[0] if self.at_once == State.READY else None]
        first = as_inserted((0, *decided))
        return [Inserted(job_id, *first[1:]) for job_id in sorted(row[0] for row in rows)]


_DUE_AT_ONCE = {state: Due(due, (), state, _ENQUEUED_AT) for state, due in _AT_ONCE.items()}


def due_of(new: NewJob) -> Due:
    """Return when new jobs are due."""
    at_once = State.BLOCKED if new.blocked else State.READY
    if new.run_after is not None:
        due, value = "CAST(%s AS DATETIME(6))", new.run_after.astimezone(UTC).replace(tzinfo=None)
        return Due(_DUE.format(due=due, state=at_once.value), [value] * 4, at_once)
    if new.delay_seconds is not None:
        due = f"TIMESTAMPADD(MICROSECOND, %s, {NOW})"
        return Due(_DUE.format(due=due, state=at_once.value), [round(new.delay_seconds * 1_000_000)] * 4, at_once)
    return _DUE_AT_ONCE[at_once]


def insert_of(
    new: NewJob, due: Due, arguments: Sequence[str], metadata: Sequence[str] = (), *, returns: bool
) -> tuple[str, list[Any]]:
    """Return the statement that inserts jobs, and its values. ``returns``: the server returns what it inserts."""
    returning = f" RETURNING id, {due.decided}" if returns else ""
    if returns and len(arguments) > 1:
        rows = list(zip(arguments, metadata, strict=True)) if metadata else arguments
        given = json.dumps(rows, ensure_ascii=False)
        if len(given) <= MAX_JSON_LENGTH and metadata:
            return INSERT_EACH_APART.format(due=due.due) + returning, [*new.given_but_metadata, *due.values, given]
        if len(given) <= MAX_JSON_LENGTH:
            return INSERT_EACH.format(due=due.due) + returning, [*new.given, *due.values, given]
    row = f"({_ROW.format(arguments='%s', due=due.due)})"
    news = [new._replace(metadata=text) for text in metadata] or [new] * len(arguments)
    values = [
        value for one, payload in zip(news, arguments, strict=True) for value in (*one.given, payload, *due.values)
    ]
    return INSERT_ROWS.format(rows=",\n".join([row] * len(arguments))) + returning, values
