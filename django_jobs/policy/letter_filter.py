"""Which dead letters somebody means: a filter that fits into an address, a job's arguments and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

ADDRESS_FIELDS = ("fingerprint", "job_name", "queue_name", "reason", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Open letters that match all of what is given.

    ``error`` is part of the class or the message. ``up_to_id`` keeps out letters that come later; ``ids`` names the
    letters themselves.
    """

    fingerprint: str = ""
    job_name: str = ""
    queue_name: str = ""
    reason: str = ""
    error: str = ""
    up_to_id: int | None = None
    ids: tuple[int, ...] | None = None

    @classmethod
    def from_address(cls, parameters: Mapping[str, str]) -> LetterFilter:
        """Read the parameters of a list's address; what is no filter is passed over."""
        given: dict[str, Any] = {name: parameters.get(name, "").strip() for name in ADDRESS_FIELDS}
        return cls(**given)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> LetterFilter:
        """Read what ``as_json`` wrote. Raises ValueError for a key that is none."""
        known = {one.name for one in fields(cls)}
        if unknown := sorted(given.keys() - known):
            raise ValueError(
                f"expected a filter of {', '.join(sorted(known))}; got the unknown {', '.join(unknown)}"
            )
        ids = given.get("ids")
        return cls(**{**given, "ids": None if ids is None else tuple(ids)})

    def as_json(self) -> dict[str, Any]:
        """Return what is given, as a job's argument."""
        given = {name: value for name, value in asdict(self).items() if value is not None and value != ""}
        if self.ids is not None:
            given["ids"] = list(self.ids)
        return given

    def as_address(self) -> dict[str, str]:
        """Return the parameters of a list's address."""
        return {name: value for name in ADDRESS_FIELDS if (value := getattr(self, name))}

    @property
    def is_everything(self) -> bool:
        """True where nothing narrows it down."""
        return not self.as_address() and self.ids is None
