"""The public id of a job: its number, or database and number (``eu:4711``) if jobs are in several databases."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

_ALIAS = re.compile(r"[A-Za-z0-9_-]+")
_ID = re.compile(r"(?:(?P<database>[A-Za-z0-9_-]+):)?(?P<number>[0-9]{1,19})", re.ASCII)
MAX_NUMBER = 2**63 - 1


class JobId(NamedTuple):
    """``database`` None: the text names none."""

    database: str | None
    number: int


def is_part_of_id(alias: str) -> bool:
    """Tell whether an alias can begin a public id."""
    return _ALIAS.fullmatch(alias) is not None


def format_job_id(job_id: JobId) -> int | str:
    """Return a public id: the number alone if the id names no database."""
    return job_id.number if job_id.database is None else f"{job_id.database}:{job_id.number}"


def parse_job_id(text: str, *, databases: Collection[str]) -> JobId | None:
    """Return the parts of a public id; None if it is none, or names a database that holds no jobs."""
    if (found := _ID.fullmatch(text.strip())) is None:
        return None
    number, database = int(found["number"]), found["database"]
    if number > MAX_NUMBER or (database is not None and database not in databases):
        return None
    return JobId(database, number)
