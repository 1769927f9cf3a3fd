"""From a message to a job's arguments, or to the reason why it cannot become a job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn, get_args
from weakref import WeakKeyDictionary

from django.db import Error as DatabaseError

from ..arguments.json_schema import TypeMismatchError, escape, parse_json_value
from ..conf import get_settings
from ..enqueueing import encode_bound
from ..exceptions import ArgumentsError, LimitKeyError, PoisonMessageError, SerializationError
from ..functions.callables import type_hints
from ..policy.chunks import ARGUMENT
from ..policy.printable import escape_unstorable
from ..policy.truncate import truncate
from ..registry import DefinedJob
from .interface import ReceivedMessage
from .subscriptions import Consumption

MAX_REASON_LENGTH = 1_000
_AS_THEY_ARE = (bool, int, str)
"""Types of which each value of JSON is taken as it came."""


def bind_message(consumption: Consumption, message: ReceivedMessage) -> dict[str, Any]:
    """Return the arguments of the job that a message becomes, bound by name.

    Raises PoisonMessageError: too large, no JSON object, not what the function takes, or what ``decode`` raised.
    """
    definition, decode = consumption.definition, consumption.source.decode
    _check_size(message)
    if decode is None:
        body = read_json(message)
    else:
        try:
            body = decode(message)
        except DatabaseError:
            raise  # the database's fault, not the message's
        except Exception as error:
            raise PoisonMessageError(_cut(f"decode failed: {type(error).__name__}: {error}")) from error
    try:
        if definition.options.chunk is not None:
            return definition.signature.bind((_parse(definition, {ARGUMENT: body})[ARGUMENT],), {})
        if not isinstance(body, Mapping):
            raise PoisonMessageError(f"expected a JSON object of arguments by name, got {_json_type(body)}")
        return definition.signature.bind((), body if decode else _parse(definition, body))
    except ArgumentsError as error:
        raise PoisonMessageError(_cut(str(error))) from None


def _parse(definition: DefinedJob, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body with each value as the type that the function's annotation names: a date, a UUID, a row.

    Raises PoisonMessageError, whose text has no value: it may be secret.
    """
    annotations = _annotations_of(definition)
    parsed = {}
    for name, value in body.items():
        annotation = annotations.get(name, Any)
        if annotation is Any or (annotation in _AS_THEY_ARE and type(value) is annotation):
            parsed[name] = value
            continue
        try:
            parsed[name] = parse_json_value(annotation, value, f"/{escape(name)}")
        except TypeMismatchError as error:
            raise PoisonMessageError(
                _cut(f"the body, {error.pointer}: expected {error.expected}, got {_json_type(value)}")
            ) from None
    return parsed


_annotations: WeakKeyDictionary[DefinedJob, dict[str, Any]] = WeakKeyDictionary()


def _annotations_of(definition: DefinedJob) -> dict[str, Any]:
    """Return the annotations of the arguments by name; of a chunk job that of its items' argument."""
    found = _annotations.get(definition)
    if found is None:
        found = type_hints(definition.function)
        if definition.options.chunk is not None:
            items = next(iter(found.values()), None)  # Sequence[ChunkItem[T]]
            item = next(iter(get_args(items)), None)
            found = {ARGUMENT: next(iter(get_args(item)), Any)}
        _annotations[definition] = found
    return found


def check_storable(consumption: Consumption, bound: dict[str, Any]) -> None:
    """Raise PoisonMessageError for arguments that cannot be stored, or of which a limit's key cannot be made."""
    from ..store.enqueue.insert import serialize_arguments

    definition = consumption.definition
    try:
        definition.needs(bound)
        serialize_arguments(definition.name, encode_bound(definition, bound))
    except (SerializationError, LimitKeyError) as error:
        raise PoisonMessageError(_cut(str(error))) from None


def read_json(message: ReceivedMessage) -> Any:
    """Return the JSON value of a body. Raises PoisonMessageError."""
    try:
        return _read_text(message.body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PoisonMessageError(f"the body is no UTF-8: {error.reason} at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise PoisonMessageError(f"the body is no JSON: {error}") from None


def _check_size(message: ReceivedMessage) -> None:
    max_bytes = get_settings().enqueue.max_payload_bytes
    if len(message.body) > max_bytes:
        raise PoisonMessageError(
            f"the body has {len(message.body)} bytes; DJANGO_JOBS['ENQUEUE']['MAX_PAYLOAD_BYTES'] allows {max_bytes}"
        )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_read_text = json.JSONDecoder(parse_constant=_refuse_constant).decode
"""Made once: ``json.loads`` makes a decoder for each call that gives it a function."""


def _json_type(value: object) -> str:
    names = {list: "an array", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), "null" if value is None else type(value).__name__)


def _cut(text: str) -> str:
    """Return a reason that every database takes: it may quote what a message has."""
    return truncate(escape_unstorable(text), MAX_REASON_LENGTH)
