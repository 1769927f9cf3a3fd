"""Chunks: how many jobs are called together, how long a chunk waits for more, and which jobs may share one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .durations import ZERO, Duration, read_duration
from .hints import explains_options

MAX_CHUNK_SIZE = 1_000
MAX_CHUNK_WAIT = timedelta(minutes=1)
ARGUMENT = "argument"
"""The name under which the one argument of a chunk job is stored."""


@explains_options
@dataclass(frozen=True, slots=True)
class Chunk:
    """Have a function called with up to ``size`` jobs at once.

    wait: how long a chunk that is not full waits for more, from its first claim; zero: it takes what is claimed by the
    time an executor is free. by: only jobs with the same values under these keys of their argument share a chunk.
    """

    size: int
    wait: Duration = ZERO
    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if type(self.size) is not int or not 1 <= self.size <= MAX_CHUNK_SIZE:
            raise ValueError(f"Chunk(size): expected 1 to {MAX_CHUNK_SIZE}, got {self.size!r}")
        wait = read_duration("Chunk(wait)", self.wait, minimum=ZERO)
        if wait > MAX_CHUNK_WAIT:
            raise ValueError(f"Chunk(wait): expected at most {MAX_CHUNK_WAIT}, got {self.wait!r}")
        keys: object = self.by
        if not isinstance(keys, (tuple, list)) or not all(isinstance(key, str) and key for key in keys):
            raise ValueError(f"Chunk(by): expected a tuple of keys of the argument, got {keys!r}")
        object.__setattr__(self, "wait", wait)
        object.__setattr__(self, "by", tuple(self.by))

    @property
    def wait_seconds(self) -> float:
        """``wait`` in seconds."""
        return read_duration("Chunk(wait)", self.wait, minimum=ZERO).total_seconds()


def chunk_key(arguments: str, by: tuple[str, ...]) -> str | tuple[str, ...] | None:
    """Return what the stored arguments of jobs that may share a chunk have in common; None: no such values."""
    if not by:
        return ""
    try:
        argument: Any = json.loads(arguments)[ARGUMENT]
        values = [argument[key] for key in by]
        return tuple(values) if all(type(value) is str for value in values) else json.dumps(values, sort_keys=True)
    except (ValueError, KeyError, TypeError):
        return None


def runs_alone(worker_deaths: int) -> bool:
    """Tell whether a job is called alone: a worker died while it ran, and it may be to blame."""
    return worker_deaths > 0
