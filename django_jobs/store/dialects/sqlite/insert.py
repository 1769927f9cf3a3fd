"""SQL that inserts jobs on SQLite, one or many; ``jobs.py`` runs it.

What the clock does not decide is a constant in the statement: rows joined from sub-queries took twice as long.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from ....policy.states import State
from ..base.jobs import GIVEN_COLUMNS, METADATA_AT, Inserted, NewJob, as_inserted
from .statements import LATER, NOW
from .texts import as_modifier, as_text

_NOW = NOW.replace("%", "%%")
_LATER = LATER.replace("%Y-%m-%d %H:%M:%f", "%%Y-%%m-%%d %%H:%%M:%%f")
_INSERT = f"""
INSERT INTO django_jobs_job
    ({", ".join(GIVEN_COLUMNS)}, arguments, state, enqueued_at, run_after, ready_at,
     attempt, claim_number, worker_deaths, progress_message)
{{rows}}
RETURNING id, {{decided}}
"""
_GIVEN = ["%s"] * len(GIVEN_COLUMNS)
_GIVEN_APART = [*_GIVEN[:METADATA_AT], "json_extract(given.value, '$[1]')", *_GIVEN[METADATA_AT + 1 :]]
_ROW = f"{', '.join(_GIVEN)}, {{arguments}}, {{due}}, 0, 0, 0, ''"
_ROW_APART = f"{', '.join(_GIVEN_APART)}, json_extract(given.value, '$[0]'), {{due}}, 0, 0, 0, ''"
_ONE = f"VALUES ({_ROW.format(arguments='%s', due='{due}')})"
_EACH = f"SELECT {_ROW.format(arguments='given.value', due='{due}')} FROM json_each(%s) AS given ORDER BY given.key"
_EACH_APART = f"SELECT {_ROW_APART} FROM json_each(%s) AS given ORDER BY given.key"
"""With metadata of each: an element is a pair of arguments and metadata, both as text."""

_AT_ONCE = {
    State.READY: f"'ready', {_NOW}, NULL, {_NOW}",
    State.BLOCKED: f"'blocked', {_NOW}, NULL, NULL",
}
_DUE = f"""CASE WHEN {{due}} > {_NOW} THEN 'scheduled' ELSE '{{state}}' END, {_NOW},
       CASE WHEN {{due}} > {_NOW} THEN {{due}} END,
       CASE WHEN {{due}} > {_NOW} OR '{{state}}' = 'blocked' THEN NULL ELSE {_NOW} END"""
_DECIDED = "state, enqueued_at, run_after, ready_at"


class InsertStatement(NamedTuple):
    """A statement, its values, and the state of jobs that are due at once; None: the statement returns it."""

    text: str
    values: list[Any]
    state: State | None

    def inserted(self, rows: Sequence[tuple[Any, ...]]) -> list[Inserted]:
        """Return new jobs from the statement's rows, in the order of their ids; all have one state and one time."""
        _, *decided = rows[0]
        if self.state is not None:
            decided = [self.state, *decided, None, decided[0] if self.state == State.READY else None]
        first = as_inserted((0, *decided))
        return [Inserted(job_id, *first[1:]) for job_id in sorted(row[0] for row in rows)]


def insert_statement(new: NewJob, arguments: Sequence[str], metadata: Sequence[str] = ()) -> InsertStatement:
    """Return the statement that inserts one job for each of ``arguments``, and of ``metadata`` if there is some."""
    state = State.BLOCKED if new.blocked else State.READY
    if new.run_after is None and new.delay_seconds is None:
        due, values, decided = _AT_ONCE[state], [], "enqueued_at"
    else:
        expression, value = (
            ("%s", as_text(new.run_after)) if new.run_after else (_LATER, as_modifier(new.delay_seconds))
        )
        due, values, decided = _DUE.format(due=expression, state=state.value), [value] * 4, _DECIDED
    is_one = len(arguments) == 1
    rows = _EACH_APART if metadata else _ONE if is_one else _EACH
    text = _INSERT.format(rows=rows.format(due=due), decided=decided)
    if metadata:
        pairs = list(zip(arguments, metadata, strict=True))
        given = [*new.given_but_metadata, *values, json.dumps(pairs, ensure_ascii=False)]
    elif is_one:
        given = [*new.given, *arguments, *values]
    else:
        given = [*new.given, *values, json.dumps(arguments, ensure_ascii=False)]
    return InsertStatement(text, given, None if values else state)
