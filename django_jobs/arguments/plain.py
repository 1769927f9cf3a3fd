"""Turn an instance of a subclass (an enum, a SafeString, an OrderedDict) into the plain value that it equals.

The content is read by the methods of the base class: a subclass may show itself otherwise, such as an enum whose
``str()`` is its name, or a datetime whose ``isoformat()`` is no date. What does not equal its content is refused,
because another value would reach the job.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.functional import LazyObject, Promise, empty

from ..exceptions import SerializationError

_TIME_FIELDS = ("hour", "minute", "second", "microsecond", "tzinfo", "fold")


def plain_value(value: Any, what: str) -> Any:
    """Return the plain value that ``value`` equals, or ``value`` itself if its class has no plain base.

    Raises SerializationError if the two differ, or if the class fails when it is asked.
    """
    if issubclass(type(value), LazyObject):
        return _unwrap(value, what)
    base = _base_of(type(value))
    if base is None:
        return value
    try:
        plain, is_equal = _read(base, value)
    except Exception as error:
        raise SerializationError(f"{what}: {_kind(value)} cannot be read: {error}") from error
    if not is_equal:
        raise SerializationError(
            f"{what}: {_kind(value)} does not equal its content as a {base.__name__}, which is all that JSON carries;"
            " pass a plain value"
        )
    return plain


def plain_text(key: Any, what: str) -> str:
    """Return the key of a dict as plain text. Raises SerializationError."""
    if not isinstance(key, str):
        raise SerializationError(f"{what}: keys of a dict must be strings, got {key!r}")
    text: str = plain_value(key, what)
    return text


def _base_of(kind: type) -> type | None:
    return next((base for base in _READERS if issubclass(kind, base)), None)


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _unwrap(value: Any, what: str) -> Any:
    """Return what a lazy object stands for; Django has no public way to it."""
    try:
        if value._wrapped is empty:  # noqa: SLF001
            value._setup()  # noqa: SLF001
    except Exception as error:
        raise SerializationError(f"{what}: {_kind(value)} cannot be read: {error}") from error
    return value._wrapped  # noqa: SLF001


def _read(base: type, value: Any) -> tuple[Any, bool]:
    plain = _READERS[base](value)
    if base is dict:
        return _same_items(plain, value)
    if base in {list, tuple}:
        shown = list(value)
        return plain, len(plain) == len(shown) and all(map(_is_same, plain, shown))
    return plain, _is_nan(plain) or bool(plain == value)


def _same_items(content: dict[Any, Any], value: dict[Any, Any]) -> tuple[Any, bool]:
    shown = list(value.items())
    same = len(content) == len(shown) and all(key in content and _is_same(content[key], item) for key, item in shown)
    return dict(shown), same


def _is_same(one: Any, other: Any) -> bool:
    return one is other or bool(one == other)


def _is_nan(value: object) -> bool:
    return (isinstance(value, Decimal) and value.is_nan()) or (isinstance(value, float) and value != value)


def _plain_time(value: time) -> time:
    return time(**{name: getattr(time, name).__get__(value) for name in _TIME_FIELDS})


_READERS: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    datetime: lambda value: datetime.combine(date.fromordinal(datetime.toordinal(value)), datetime.timetz(value)),
    date: lambda value: date.fromordinal(date.toordinal(value)),
    time: _plain_time,
    timedelta: timedelta.__pos__,
    UUID: lambda value: UUID(int=vars(UUID)["int"].__get__(value)),
    Decimal: Decimal,
    bytes: lambda value: bytes(memoryview(value)),
    bytearray: lambda value: bytes(memoryview(value)),
    dict: lambda value: dict(dict.items(value)),
    list: lambda value: list(list.__iter__(value)),
    tuple: lambda value: list(tuple.__iter__(value)),
    Promise: str,
}
