"""SQL that inserts jobs on PostgreSQL, one or many; ``jobs.py`` and ``keys.py`` run it.

What the database's clock does not decide is a constant in the statement: a row that was joined from sub-queries took
the server more than twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ....policy.states import State
from ..base.jobs import GIVEN_COLUMNS, Inserted, NewJob

_CASTS = {"priority": "::smallint", "max_attempts": "::smallint", "metadata": "::jsonb", "flags": "::smallint"}
_GIVEN = ", ".join(f"%s{_CASTS.get(column, '')}" for column in GIVEN_COLUMNS)
_NOW = "statement_timestamp()"
_INTO = f"""
INSERT INTO django_jobs_job
    ({{id_column}}{", ".join(GIVEN_COLUMNS)}, arguments, state, enqueued_at, run_after, ready_at,
     attempt, claim_number, worker_deaths, progress_message)"""
_REST = "0, 0, 0, ''"

INSERT_ONE = f"{_INTO.format(id_column='')} VALUES ({_GIVEN}, %s::jsonb, {{due}}, {_REST}) RETURNING id, {{decided}}"
INSERT_HOLDER = f"""{_INTO.format(id_column="id, ")}
SELECT holding.job_id, {_GIVEN}, %s::jsonb, {{due}}, {_REST} FROM holding RETURNING id, {{decided}}"""
NOTIFY = ", pg_notify(%s, %s)"

# All rows of a statement have one state and one time, so that its answer is the ids and these once.
_INSERT_MANY = f"""
WITH inserted AS ({_INTO.format(id_column="")}
    SELECT {{given}}, given.arguments, {{{{due}}}}, {_REST}
    FROM {{rows}}
    ORDER BY given.place
    RETURNING id, enqueued_at, state, run_after
), one AS (SELECT {{{{decided}}}} FROM inserted LIMIT 1)
SELECT (SELECT string_agg(id::text, ',') FROM inserted), one.*{{{{notify}}}} FROM one
"""
INSERT_MANY = _INSERT_MANY.format(
    given=_GIVEN, rows="jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS given (arguments, place)"
)
INSERT_MANY_APART = _INSERT_MANY.format(
    given=_GIVEN.replace("%s::jsonb", "given.metadata"),
    rows="""ROWS FROM (jsonb_array_elements(%s::jsonb), jsonb_array_elements(%s::jsonb))
        WITH ORDINALITY AS given (arguments, metadata, place)""",
)
"""With metadata of each. Two arrays: one of pairs took the server twice as long."""

_AT_ONCE = {
    State.READY: f"'ready', {_NOW}, NULL::timestamptz, {_NOW}",
    State.BLOCKED: f"'blocked', {_NOW}, NULL::timestamptz, NULL::timestamptz",
}
_DELAYED = f"'scheduled', {_NOW}, {_NOW} + %s::float8 * interval '1 second', NULL::timestamptz"
_DATED = f"""CASE WHEN %s::timestamptz > {_NOW} THEN 'scheduled' ELSE '{{state}}' END, {_NOW},
    CASE WHEN %s::timestamptz > {_NOW} THEN %s::timestamptz END,
    CASE WHEN %s::timestamptz > {_NOW} THEN NULL ELSE {{ready_at}} END"""


class Due(NamedTuple):
    """The expressions of state, enqueued_at, run_after and ready_at, their values, and what the statement returns.

    ``at_once``: the state of jobs without a due time.
    """

    due: str
    values: Sequence[Any]
    at_once: State
    decided: str = "enqueued_at, state, run_after"

    def fill(self, statement: str, *, notify: str = "") -> str:
        """Return the statement for new jobs that are due so."""
        return statement.format(due=self.due, decided=self.decided, notify=notify)

    def inserted(self, job_id: int, decided: Sequence[Any]) -> Inserted:
        """Return a new job from its id and the columns ``decided``."""
        enqueued_at, state, run_after = decided if len(decided) == 3 else (*decided, self.at_once, None)
        return Inserted(job_id, state, enqueued_at, run_after, enqueued_at if state == State.READY else None)


_DUE_AT_ONCE = {state: Due(due, (), state, "enqueued_at") for state, due in _AT_ONCE.items()}


def due_of(new: NewJob) -> Due:
    """Return when new jobs are due."""
    at_once = State.BLOCKED if new.blocked else State.READY
    if new.run_after is not None:
        ready_at = "NULL::timestamptz" if new.blocked else _NOW
        return Due(_DATED.format(state=at_once.value, ready_at=ready_at), [new.run_after] * 4, at_once)
    if new.delay_seconds:
        return Due(_DELAYED, [new.delay_seconds], at_once)
    return _DUE_AT_ONCE[at_once]


def insert_one(due: Due, *, notify: bool) -> str:
    """Return the statement that inserts one job."""
    return _insert_one(due.due, due.decided) + (NOTIFY if notify else "")


@lru_cache(maxsize=32)
def _insert_one(due: str, decided: str) -> str:
    return INSERT_ONE.format(due=due, decided=decided)
