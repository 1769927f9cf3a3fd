"""A filter of dead letters that is a query string and a job's argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from .filter_values import as_id, as_instant, as_since, as_text

TEXTS = ("fingerprint", "job_name", "queue_name", "reason", "error")
TIMES = ("since", "until")
IDS = ("up_to_id", "batch")
QUERY_FIELDS = (*TEXTS, *TIMES, *IDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterFilter:
    """Open dead letters that match every field that is set.

    ``error`` is a part of the class or the message. ``since`` and ``until`` (excluded) are times of death; ``since``
    may be a duration before now. ``up_to_id`` excludes later dead letters; ``ids`` are those of dead letters.
    ``batch`` is the id of a batch of their jobs.
    """

    fingerprint: str = ""
    job_name: str = ""
    queue_name: str = ""
    reason: str = ""
    error: str = ""
    since: datetime | timedelta | None = None
    until: datetime | None = None
    up_to_id: int | None = None
    batch: int | None = None
    ids: tuple[int, ...] | None = None

    @classmethod
    def from_query(cls, parameters: Mapping[str, str], *, zone: tzinfo = UTC) -> DeadLetterFilter:
        """Parse the parameters of a query string; others are ignored.

        ``zone``: of times without a time zone. Raises FilterError for a wrong time or id.
        """
        given: dict[str, Any] = {name: parameters.get(name, "").strip() for name in QUERY_FIELDS}
        return cls(
            **{name: given[name] for name in TEXTS},
            since=as_since("since", given["since"], zone),
            until=as_instant("until", given["until"], zone),
            up_to_id=as_id("up_to_id", given["up_to_id"]),
            batch=as_id("batch", given["batch"]),
        )

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> DeadLetterFilter:
        """Parse the value of ``as_json``. Raises ValueError for an unknown key or a wrong time."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(given.keys() - known):
            raise ValueError(f"expected a filter of {', '.join(sorted(known))}; got the unknown {', '.join(unknown)}")
        ids = given.get("ids")
        bounds = {
            "since": as_since("since", given.get("since", ""), UTC),
            "until": as_instant("until", given.get("until", ""), UTC),
            **{name: as_id(name, str(given.get(name, ""))) for name in IDS},
        }
        return cls(**{**given, **bounds, "ids": None if ids is None else tuple(ids)})

    def as_json(self) -> dict[str, Any]:
        """Return the fields that are set, as a job's argument."""
        given: dict[str, Any] = dict(self.to_query())
        if self.ids is not None:
            given["ids"] = list(self.ids)
        return given

    def to_query(self) -> dict[str, str]:
        """Return the parameters of the query string of this filter."""
        given = {name: value for name in TEXTS if (value := getattr(self, name))}
        given |= {name: as_text(value) for name in TIMES if (value := getattr(self, name)) is not None}
        return given | {name: str(value) for name in IDS if (value := getattr(self, name)) is not None}

    def frozen(self, now: datetime) -> DeadLetterFilter:
        """Return the filter with a duration resolved at ``now``, so that its matches do not move."""
        return replace(self, since=now - self.since) if isinstance(self.since, timedelta) else self

    @property
    def whole_group(self) -> str:
        """The fingerprint, if all dead letters of a group match up to an id; else an empty text."""
        return self.fingerprint if set(self.as_json()) <= {"fingerprint", "up_to_id"} else ""

    @property
    def is_empty(self) -> bool:
        """True if every open dead letter matches."""
        return not self.to_query() and self.ids is None
