"""Arguments of a call as Celery takes them: a list or tuple, and a dict."""

from __future__ import annotations

from typing import Any

from ...exceptions import ArgumentsError


def as_arguments(label: str, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return both, empty for None. Raises ArgumentsError: a text would be one argument for each of its characters."""
    if args is not None and not isinstance(args, (list, tuple)):
        raise ArgumentsError(f"{label}: args: expected a list or tuple, such as (value,), got {type(args).__name__}")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise ArgumentsError(f"{label}: kwargs: expected a dict, got {type(kwargs).__name__}")
    return tuple(args or ()), dict(kwargs or {})
