"""Which dead letters somebody means: a filter that fits into an address, a job's arguments and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from .filter_values import as_id, as_instant, as_since, as_text

TEXTS = ("fingerprint", "job_name", "queue_name", "reason", "error")
TIMES = ("since", "until")
QUERY_FIELDS = (*TEXTS, *TIMES, "up_to_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterFilter:
    """Open letters that match all of what is given.

    ``error`` is part of the class or the message. Instants are when the job died, ``until`` itself excluded; ``since``
    may be a duration: so long before now. ``up_to_id`` keeps out letters that come later; ``ids`` names the
    letters themselves.
    """

    fingerprint: str = ""
    job_name: str = ""
    queue_name: str = ""
    reason: str = ""
    error: str = ""
    since: datetime | timedelta | None = None
    until: datetime | None = None
    up_to_id: int | None = None
    ids: tuple[int, ...] | None = None

    @classmethod
    def from_query(cls, parameters: Mapping[str, str], *, zone: tzinfo = UTC) -> DeadLetterFilter:
        """Read the parameters of a list's address; what is no filter is passed over.

        ``zone`` is that of instants without one. Raises FilterError for a time, or an id, that is none.
        """
        given: dict[str, Any] = {name: parameters.get(name, "").strip() for name in QUERY_FIELDS}
        return cls(
            **{name: given[name] for name in TEXTS},
            since=as_since("since", given["since"], zone),
            until=as_instant("until", given["until"], zone),
            up_to_id=as_id("up_to_id", given["up_to_id"]),
        )

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> DeadLetterFilter:
        """Read what ``as_json`` wrote. Raises ValueError for a key or a time that is none."""
        known = {one.name for one in fields(cls)}
        if unknown := sorted(given.keys() - known):
            raise ValueError(
                f"expected a filter of {', '.join(sorted(known))}; got the unknown {', '.join(unknown)}"
            )
        ids = given.get("ids")
        bounds = {
            "since": as_since("since", given.get("since", ""), UTC),
            "until": as_instant("until", given.get("until", ""), UTC),
            "up_to_id": as_id("up_to_id", str(given.get("up_to_id", ""))),
        }
        return cls(**{**given, **bounds, "ids": None if ids is None else tuple(ids)})

    def as_json(self) -> dict[str, Any]:
        """Return what is given, as a job's argument."""
        given: dict[str, Any] = dict(self.to_query())
        if self.ids is not None:
            given["ids"] = list(self.ids)
        return given

    def to_query(self) -> dict[str, str]:
        """Return the parameters of a list's address."""
        given = {name: value for name in TEXTS if (value := getattr(self, name))}
        given |= {name: as_text(value) for name in TIMES if (value := getattr(self, name)) is not None}
        return given if self.up_to_id is None else given | {"up_to_id": str(self.up_to_id)}

    def frozen(self, now: datetime) -> DeadLetterFilter:
        """Return the same with a duration counted from ``now``: what it matches does not move any more."""
        return replace(self, since=now - self.since) if isinstance(self.since, timedelta) else self

    @property
    def is_empty(self) -> bool:
        """True where nothing narrows it down."""
        return not self.to_query() and self.ids is None
