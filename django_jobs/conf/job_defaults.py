"""Settings of jobs that say nothing themselves: ``JOB_DEFAULTS``, ``QUEUES`` and ``ENQUEUE``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any

from ..policy.backoff import Backoff, Exponential
from . import readers
from .fields import declarations, read_keys, setting
from .readers import optional


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefaults:
    """Options of ``@job`` for jobs, and queues, that do not set them."""

    queue_name: str = setting("default", read=readers.as_queue_name, doc="the queue. Up to 100 characters, no comma")
    priority: int = setting(
        0, read=readers.as_priority, doc="-100 to 100; higher runs first, -100 when no other job waits in any queue"
    )
    max_attempts: int = setting(5, read=readers.as_max_attempts, doc="attempts in all, the first included; 1 to 10,000")
    backoff: Backoff = setting(
        Exponential(),
        read=readers.as_job_backoff,
        doc="the delay before the next attempt",
        default_text="`Exponential()`",
    )
    timeout: timedelta | None = setting(
        None, read=optional(readers.as_duration), doc="how long an attempt may take; `None`: no limit"
    )


JOB_OPTION_READERS = MappingProxyType(
    {name: declaration.read for name, declaration in declarations(JobDefaults).items()}
)
QUEUE_KEYS = tuple(name for name in JOB_OPTION_READERS if name != "queue_name")


def read_queues(option: str, value: object) -> Mapping[str, Mapping[str, Any]]:
    """Return the options of each queue."""
    names = value if isinstance(value, Mapping) else ()
    return MappingProxyType(read_keys(option, value, {name: partial(_read_queue, name) for name in names}))


def _read_queue(name: object, option: str, value: object) -> Mapping[str, Any]:
    readers_of_queue = {key: JOB_OPTION_READERS[key] for key in QUEUE_KEYS}
    readers.as_queue_name(option, name)
    return MappingProxyType(read_keys(option, value, readers_of_queue))


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueSettings:
    """Limits of what ``enqueue`` accepts."""

    max_payload_bytes: int = setting(
        1_000_000,
        read=readers.as_count,
        doc="larger arguments or metadata are refused with `PayloadTooLargeError`",
    )
    idempotency_window: timedelta = setting(
        timedelta(days=1),
        read=readers.as_duration,
        doc="how long an `idempotency_key` returns the first job, unless the enqueue sets a window",
    )
