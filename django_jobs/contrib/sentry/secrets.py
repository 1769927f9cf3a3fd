"""Keep the values of masked arguments out of what a run sends: events, and the logs and spans that are sent one by one.

Events go through the processors of the run's scope. Logs and streamed spans do not: the SDK gives them to
``before_send_log`` and ``before_send_span`` of its options, in the code that makes them. These are wrapped once a job
with such an argument runs, and look for the secrets of the run that is going on in their thread or task.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import sentry_sdk

from ...context import JobContext
from ...policy.redact import MASK
from ...redaction import is_secret_job, redact_arguments

FILTERED = "[Filtered]"
"""Sentry's own word for what it does not show."""
MIN_SECRET_LENGTH = 4
"""Shorter values are in too many texts to be looked for."""
OPTIONS = ("before_send_log", "before_send_span")

_secrets: ContextVar[Collection[str]] = ContextVar("django_jobs_sentry_secrets", default=())
_lock = threading.Lock()


def secrets_of(context: JobContext) -> list[str] | None:
    """Return all spellings of the masked values of a run, longest first; None if nothing of it is to be masked."""
    secrets: set[str] = set()
    is_secret = is_secret_job(context.name)
    for each in [item.context for item in context.chunk] or [context]:
        arguments = json.loads(each.stored_arguments)
        masked = redact_arguments(each.name, arguments)
        is_secret = is_secret or masked != arguments
        secrets.update(_masked_texts(arguments, masked))
    return sorted(secrets, key=lambda text: (-len(text), text)) if is_secret else None


@contextmanager
def masking(secrets: Collection[str]) -> Iterator[None]:
    """Mask these texts in logs and streamed spans of this thread or task."""
    if secrets:
        _wrap_options(sentry_sdk.get_client().options)
    token = _secrets.set(secrets)
    try:
        yield
    finally:
        _secrets.reset(token)


def without(value: Any, secrets: Collection[str]) -> Any:
    """Return an event, or a part of one, with the secrets replaced in all of its texts and numbers."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, FILTERED)
        return value
    if isinstance(value, dict):
        return {key: without(item, secrets) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(without(item, secrets) for item in value)
    if type(value) in (int, float) and str(value) in secrets:
        return FILTERED
    return value


class _Masked:
    """An option ``before_send_...`` with the secrets masked first. ``then``: what the project has given."""

    def __init__(self, then: Callable[[Any, Any], Any] | None) -> None:
        self._then = then

    def __call__(self, item: Any, hint: Any) -> Any:
        secrets = _secrets.get()
        masked = without(item, secrets) if secrets else item
        return masked if self._then is None else self._then(masked, hint)


def _wrap_options(options: Any) -> None:
    with _lock:
        for name in OPTIONS:
            given = options.get(name) or (options.get("_experiments") or {}).get(name)
            if not isinstance(given, _Masked):
                options[name] = _Masked(given)


def _masked_texts(value: Any, masked: Any) -> list[str]:
    if masked == MASK:
        return [spelling for text in _texts(value) for spelling in _spellings(text)]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in _masked_texts(item, masked.get(key))]
    if isinstance(value, list):
        return [text for item, mask in zip(value, masked, strict=False) for text in _masked_texts(item, mask)]
    return []


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    text = str(value)
    return [text] if len(text) >= MIN_SECRET_LENGTH and not isinstance(value, bool) and value is not None else []


def _spellings(text: str) -> set[str]:
    """Return a text as it is, and within Python's and JSON's quotes, also twice: the SDK quotes what it is given."""
    spellings = {text}
    for _ in range(2):
        spellings |= {quoted for each in spellings for quoted in _quoted(each)}
    return spellings


def _quoted(text: str) -> tuple[str, ...]:
    # Each quote makes Python choose the other one around the text: with both in it, one is escaped.
    return repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
