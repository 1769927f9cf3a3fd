"""Settings of what is kept, and for how long: ``RETENTION``, ``RESULTS`` and ``LOGS``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from ..exceptions import ConfigurationError
from ..policy.states import State
from . import readers
from .fields import SETTING, setting
from .readers import optional

MAX_LOG_CHARS = 1_000_000
"""Of one run: its log is one row, written again with each save."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """How long finished jobs and other records are kept; ``None``: for ever."""

    succeeded: timedelta | None = setting(
        timedelta(days=7), read=optional(readers.as_duration), doc="jobs that have succeeded"
    )
    cancelled: timedelta | None = setting(
        timedelta(days=7), read=optional(readers.as_duration), doc="jobs that were cancelled"
    )
    dead: timedelta | None = setting(
        timedelta(days=90),
        read=optional(readers.as_duration),
        doc="jobs that have failed for good",
    )
    ticks: timedelta | None = setting(
        timedelta(days=30),
        read=optional(readers.as_duration),
        doc="the records of what schedules enqueued",
    )
    once: timedelta | None = setting(
        timedelta(days=90), read=optional(readers.as_duration), doc="the records of `once`"
    )
    inbox: timedelta | None = setting(
        timedelta(days=14),
        read=optional(readers.as_duration),
        doc="the ids of messages that were received: one that a broker delivers again within it is a duplicate",
    )

    @property
    def by_state(self) -> Mapping[State, timedelta | None]:
        """The retention of jobs by their final state."""
        return {State.SUCCEEDED: self.succeeded, State.CANCELLED: self.cancelled, State.DEAD: self.dead}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSettings:
    """How large results may be, where large ones go, and how long they are kept."""

    max_bytes: int = setting(
        1_000_000,
        read=readers.as_count,
        doc="a larger result goes to `STORAGE`; without one it is lost (`job.is_result_lost`), and the job has"
        " succeeded all the same",
    )
    storage: str | None = setting(
        None,
        read=readers.as_storage_alias,
        doc="alias in `STORAGES` for larger results: see [results](../how-to/results.md)",
    )
    ttl: timedelta | None = setting(
        None,
        read=optional(readers.as_duration),
        doc="how long a result is kept, unless `@job(result_ttl=...)` sets it; `None`: as long as its job",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """How much of the log of an attempt is kept. ``MAX_LINES`` times ``MAX_LINE_LENGTH`` is at most 1,000,000."""

    max_lines: int = setting(
        200,
        read=readers.whole_number(min_value=0, max_value=10_000),
        doc="lines kept of an attempt, the first half and the last; at most 10,000, `0`: none",
    )
    max_line_length: int = setting(
        2_000,
        read=readers.whole_number(min_value=100, max_value=100_000),
        doc="characters kept of a line, from its start and its end; 100 to 100,000",
    )

    def __post_init__(self) -> None:
        if (chars := self.max_lines * self.max_line_length) > MAX_LOG_CHARS:
            raise ConfigurationError(
                f"{SETTING}['LOGS']['MAX_LINES']: expected at most {MAX_LOG_CHARS}, times MAX_LINE_LENGTH, got {chars}"
            )
