"""Limits of jobs: ``RateLimit``, ``Concurrency``, ``Ordering`` and ``CircuitBreaker``, and their keys by arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from django.db.models import Model

from .arguments.plain import plain_value
from .arguments.signature import CallSignature
from .exceptions import ConfigurationError, LimitKeyError, SerializationError
from .policy.limits import (
    MAX_KEY_LENGTH,
    CircuitBreaker,
    Concurrency,
    KeyOption,
    Limit,
    LimitKind,
    Ordering,
    RateLimit,
    RequiredPermit,
    parse_rate,
    required_permit,
)

__all__ = ["CircuitBreaker", "Concurrency", "Ordering", "RateLimit"]

OPTIONS: Mapping[LimitKind, str] = {
    LimitKind.ORDER: "ordering_key",
    LimitKind.CONCURRENCY: "concurrency",
    LimitKind.BREAKER: "breaker",
    LimitKind.RATE: "rate_limit",
}

_PLAIN = frozenset({str, int, bool, UUID, Decimal, date})
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def as_limits(
    label: str,
    *,
    rate_limit: object,
    concurrency: object,
    ordering_key: object,
    breaker: object,
) -> tuple[Limit, ...]:
    """Return the limits that ``@job`` was given, or raise ConfigurationError naming the option."""
    given = (
        (OPTIONS[LimitKind.ORDER], _as_order, ordering_key),
        (OPTIONS[LimitKind.CONCURRENCY], _as_concurrency, concurrency),
        (OPTIONS[LimitKind.BREAKER], _as_breaker, breaker),
        (OPTIONS[LimitKind.RATE], _as_rate, rate_limit),
    )
    limits = []
    for option, convert, value in given:
        if value is not None:
            try:
                limits.append(convert(value))
            except ValueError as error:
                raise ConfigurationError(f"{label}: {option}: {error}") from None
    return tuple(limits)


def check_keys(label: str, limits: tuple[Limit, ...], signature: CallSignature) -> None:
    """Raise ConfigurationError if a limit's key names an argument that the job does not have.

    ``*args`` and ``**kwargs`` have no one value and cannot be keys.
    """
    surplus = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    names = [name for name, parameter in signature.parameters.items() if parameter.kind not in surplus]
    for limit in limits:
        if isinstance(limit.key, str) and limit.key not in names:
            known = ", ".join(names) or "none"
            option = OPTIONS[limit.rule().kind]
            raise ConfigurationError(
                f"{label}: {option}: expected the name of an argument ({known}) as key, got {limit.key!r}"
            )


def needs_of(
    job_name: str, limits: tuple[Limit, ...], signature: CallSignature, stored: Mapping[str, Any]
) -> tuple[RequiredPermit, ...]:
    """Return the permits that one job needs, by its arguments as ``bind`` returns them.

    A key of None exempts the job from that limit. Raises LimitKeyError naming job, option and reason.
    """
    needs = []
    for limit in limits:
        rule = limit.rule()
        what = f"{job_name}: {OPTIONS[rule.kind]}"
        key = _key(what, limit.key, signature, stored)
        if key is not None:
            if isinstance(limit, Ordering) and callable(limit.hold_when_dead):
                holds = _call(what, limit.hold_when_dead, signature.by_name(stored))
                rule = replace(rule, hold_when_dead=bool(holds))
            needs.append(required_permit(rule, name=limit.name or job_name, key=key))
    return tuple(needs)


def _key(what: str, key: KeyOption, signature: CallSignature, stored: Mapping[str, Any]) -> str | None:
    if key is None:
        return ""
    arguments = signature.by_name(stored)
    if isinstance(key, str):
        value: object = arguments.get(key)
    else:
        value = _call(what, key, arguments)
    return None if value is None else _as_text(what, value)


def _call(what: str, function: Callable[..., object], arguments: Mapping[str, Any]) -> object:
    try:
        return function(**arguments)
    except Exception as error:
        raise LimitKeyError(
            f"{what}: the key's function failed for these arguments: {type(error).__name__}: {error}"
        ) from error


def _as_text(what: str, value: object) -> str:
    """Return the text of a key: the same of an argument before it is stored and when it is read back."""
    if type(value) not in _PLAIN:
        value = _read_plain(what, value)
    if isinstance(value, tuple) and value:
        text = "/".join(_escaped(_as_text(what, part)) for part in value)
    elif isinstance(value, Model):
        text = f"{value._meta.label_lower}:{value.pk}"
    elif isinstance(value, Enum):
        text = str(value.value)
    elif isinstance(value, int) and value.bit_length() > 4 * MAX_KEY_LENGTH:
        raise LimitKeyError(f"{what}: expected a key of at most {MAX_KEY_LENGTH} characters, got a longer number")
    elif isinstance(value, (str, int, Decimal, UUID, date)):
        text = str(value)
    else:
        raise LimitKeyError(
            f"{what}: expected a key that is text, a whole number, UUID, date, model instance or a tuple of these, or"
            f" None for no limit; got {type(value).__name__}"
        )
    unstorable = _UNSTORABLE.search(text)
    if len(text) > MAX_KEY_LENGTH or unstorable:
        # The key is left out: it may be a secret, and the error goes into logs.
        found = f"{unstorable.group()!r} at {unstorable.start()}" if unstorable else f"{len(text)} characters"
        raise LimitKeyError(
            f"{what}: expected a key of at most {MAX_KEY_LENGTH} characters without NUL or half a surrogate pair, got"
            f" {found}"
        )
    return text


def _read_plain(what: str, value: object) -> object:
    if isinstance(value, tuple):
        return value
    try:
        return plain_value(value, what)
    except SerializationError as error:
        raise LimitKeyError(str(error)) from None


def _escaped(part: str) -> str:
    """Return a part of a key, so that ("a/b", "c") and ("a", "b/c") are two keys."""
    return part.replace("\\", "\\\\").replace("/", "\\/")


def _as_rate(value: object) -> RateLimit:
    if isinstance(value, str):
        return parse_rate(value)
    if isinstance(value, RateLimit):
        return value
    raise ValueError(f'expected a RateLimit or text such as "10/s", got {value!r}')


def _as_concurrency(value: object) -> Concurrency:
    if type(value) is int:
        return Concurrency(value)
    if isinstance(value, Concurrency):
        return value
    raise ValueError(f"expected a Concurrency or a whole number, got {value!r}")


def _as_order(value: object) -> Ordering:
    if isinstance(value, Ordering):
        return value
    if isinstance(value, str) or callable(value):
        return Ordering(key=value)
    raise ValueError(f"expected the name of an argument, a function of the arguments or an Ordering, got {value!r}")


def _as_breaker(value: object) -> CircuitBreaker:
    if isinstance(value, CircuitBreaker):
        return value
    raise ValueError(f"expected a CircuitBreaker, got {value!r}")
