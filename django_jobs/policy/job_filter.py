"""A filter of jobs that is a query string: it can be bookmarked, sent, and stored as a job's argument."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta, tzinfo
from math import isfinite
from typing import Any

from .filter_values import MAX_ID, FilterError, as_id, as_instant, as_since, as_text, is_storable
from .messages import gettext_noop
from .states import State

MAX_IDS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Jobs that match every field that is set. ``since`` and ``until`` (excluded) are times of the enqueue.

    ``since`` may be a duration before now. ``schedule``, ``batch`` and ``worker`` are ids, ``argument`` is
    ``name=value``, ``error`` a part of the error message, ``q`` an id, a part of the name, or an argument.
    """

    state: State | None = None
    queue: str = ""
    name: str = ""
    worker: int | None = None
    schedule: int | None = None
    batch: int | None = None
    since: datetime | timedelta | None = None
    until: datetime | None = None
    argument: str = ""
    error: str = ""
    q: str = ""
    ids: tuple[int, ...] = ()

    @classmethod
    def from_query(cls, query: Mapping[str, str], *, zone: tzinfo) -> JobFilter:
        """Parse the parameters of a query string; others are ignored. ``zone``: of times without a time zone."""
        given = {name: query.get(name, "").strip() for name in PARAMETERS}
        return cls(
            state=_state(given["state"]),
            queue=given["queue"],
            name=given["name"],
            worker=as_id("worker", given["worker"]),
            schedule=as_id("schedule", given["schedule"]),
            batch=as_id("batch", given["batch"]),
            since=as_since("since", given["since"], zone),
            until=as_instant("until", given["until"], zone),
            argument=_argument("argument", given["argument"]),
            error=given["error"],
            q=_searched(given["q"]),
            ids=_ids(given["ids"]),
        )

    def to_query(self) -> dict[str, str]:
        """Return the parameters of the query string of this filter."""
        texts = {field.name: _text(getattr(self, field.name)) for field in fields(self)}
        return {name: text for name, text in texts.items() if text}

    def frozen(self, now: datetime) -> JobFilter:
        """Return the filter with a duration resolved at ``now``, so that its matches do not move."""
        return replace(self, since=now - self.since) if isinstance(self.since, timedelta) else self

    @property
    def is_empty(self) -> bool:
        """True if every job matches."""
        return not self.to_query()

    @property
    def job_id(self) -> int | None:
        """The id that was searched for, or None."""
        text = self.q.removeprefix("#")
        is_id = text.isascii() and text.isdigit() and len(text) < 20
        return min(int(text), MAX_ID) if is_id else None

    @property
    def name_part(self) -> str:
        """The part of a name that was searched for, or an empty string."""
        return "" if self.job_id is not None or "=" in self.q else self.q

    @property
    def wanted_arguments(self) -> tuple[tuple[str, Any], ...]:
        """The names and values of arguments that were searched for."""
        texts = (self.argument, self.q if "=" in self.q else "")
        return tuple(as_argument(text) for text in texts if text)


PARAMETERS = tuple(field.name for field in fields(JobFilter))


def as_argument(text: str) -> tuple[str, Any]:
    """Return name and value of ``user_id=7``; a value that is not JSON is a string."""
    name, _, value = text.partition("=")
    try:
        return name.strip(), json.loads(value)
    except (ValueError, RecursionError):
        return name.strip(), value.strip()


def _argument(parameter: str, text: str) -> str:
    if text and ("=" not in text or not text.partition("=")[0].strip()):
        raise FilterError(parameter, gettext_noop("a name and a value such as user_id=7"), text)
    try:
        can_be_found = not text or _can_be_argument(as_argument(text)[1])
    except RecursionError:
        can_be_found = False
    if not can_be_found:
        raise FilterError(parameter, gettext_noop("a value that an argument can have"), text)
    return text


def _searched(text: str) -> str:
    return _argument("q", text) if text.partition("=")[0].strip() and "=" in text else text


def _can_be_argument(value: Any) -> bool:
    """Tell whether every database has a place for the value: no NUL, no lone surrogate, no infinite or huge number."""
    match value:
        case str():
            return is_storable(value)
        case float():
            return isfinite(value)
        case int():
            return abs(value) <= MAX_ID
        case list():
            return all(map(_can_be_argument, value))
        case dict():
            return all(is_storable(key) and _can_be_argument(item) for key, item in value.items())
        case _:
            return True


def _state(text: str) -> State | None:
    if not text:
        return None
    try:
        return State(text)
    except ValueError:
        raise FilterError("state", gettext_noop("one of %(states)s"), text, states=", ".join(State)) from None


def _ids(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > MAX_IDS:
        raise FilterError("ids", gettext_noop("at most %(most)d ids"), len(parts), most=MAX_IDS)
    return tuple(dict.fromkeys(job_id for part in parts if (job_id := as_id("ids", part)) is not None))


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime() | timedelta():
            return as_text(value)
        case tuple():
            return ",".join(map(str, value))
        case _:
            return str(value)
