"""Enqueue a job by its name: the producer need not import the function, nor know it at all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from . import registry
from .definition import JobDefinition
from .enqueue_options import EnqueueOptions
from .options import JobOptions, check_name
from .uniqueness import KeyFunction

if TYPE_CHECKING:
    from .models import Job


def enqueue(name: str, /, *args: Any, **kwargs: Any) -> Job:
    """Insert a job by its name: the producer need not import the function.

    Where this process knows the job its options apply and the arguments are checked; where it does
    not, the defaults of the settings apply and the worker checks.
    """
    return _find(name).enqueue(*args, **kwargs)


async def aenqueue(name: str, /, *args: Any, **kwargs: Any) -> Job:
    """Do what ``enqueue`` does, from asynchronous code."""
    return await sync_to_async(enqueue)(name, *args, **kwargs)


def using(
    name: str,
    /,
    *,
    run_after: datetime | timedelta | None = None,
    queue_name: str | None = None,
    priority: int | None = None,
    max_attempts: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    idempotency_key: str | KeyFunction | None = None,
    idempotency_window: timedelta | None = None,
    expires_at: datetime | timedelta | None = None,
) -> EnqueueOptions[..., Any]:
    """Return a job, by its name, with options for one enqueue: ``using("mail.send", priority=5).enqueue(7)``."""
    return _find(name).using(
        run_after=run_after,
        queue_name=queue_name,
        priority=priority,
        max_attempts=max_attempts,
        metadata=metadata,
        idempotency_key=idempotency_key,
        idempotency_window=idempotency_window,
        expires_at=expires_at,
    )


def _find(name: str) -> JobDefinition[..., Any]:
    definition = registry.find(name)
    if definition is not None:
        return definition
    check_name(name)
    return JobDefinition(_unknown_function, name=name, options=JobOptions())


def _unknown_function(*args: Any, **kwargs: Any) -> None:
    """Stand for a function that this process does not know: it takes any arguments and is never called."""
