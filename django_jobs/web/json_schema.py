"""Values as other languages write them: the JSON Schema of an annotation, and reading JSON as it says.

Known are Python's plain types, datetimes and their sisters, UUID, Decimal, bytes, rows by primary key, lists, mappings,
unions, literals, enums. Whatever else an annotation says is any JSON.
"""

from __future__ import annotations

import base64
import enum
import math
import types
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.dateparse import parse_duration

Schema = dict[str, Any]

DECIMAL_PATTERN = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,9})?$"
DURATION_PATTERN = r"^-?P([0-9]{1,6}D)?(T([0-9]{1,7}H)?([0-9]{1,7}M)?([0-9]{1,7}(\.[0-9]{1,6})?S)?)?$"
BASE64_PATTERN = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
KEY_PATTERN = r"^[^\u0000]*$"
"""What of a string is read, for clients that check before they send; Python reads a little more."""


class TypeMismatchError(ValueError):
    """JSON is not what an annotation says. ``pointer`` (RFC 6901) is where, the message what was expected."""

    def __init__(self, pointer: str, expected: str, got: object) -> None:
        super().__init__(f"expected {expected}, got {_name(got)}")
        self.pointer = pointer
        self.expected = expected


@dataclass(frozen=True, slots=True, kw_only=True)
class JSONType:
    """A type of values: its schema, its name in words, and how it is read; ``read`` raises ValueError."""

    schema: Schema
    words: str
    read: Callable[[Any], Any]


def schema_of(annotation: Any) -> Schema:
    """Return the JSON Schema of what ``read_as`` takes for an annotation."""
    annotation = _unwrap_annotation(annotation)
    if (kind := _json_type_of(annotation)) is not None:
        return dict(kind.schema)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        return {"anyOf": [schema_of(one) for one in args]}
    if _is_listlike(origin or annotation):
        return {"type": "array", "items": schema_of(_item(args))}
    if _is_mapping(origin or annotation):
        values = schema_of(args[1] if len(args) == 2 else Any)
        return {"type": "object", "additionalProperties": values, "propertyNames": {"pattern": KEY_PATTERN}}
    return {}


def parse_json_value(annotation: Any, value: Any, pointer: str) -> Any:
    """Return JSON ``value`` as the annotation says. Raises Mismatch naming the place."""
    annotation = _unwrap_annotation(annotation)
    if (kind := _json_type_of(annotation)) is not None:
        try:
            return kind.read(value)
        except (ValueError, TypeError, ArithmeticError, ValidationError):
            raise TypeMismatchError(pointer, kind.words, value) from None
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        return _read_union(args, value, pointer)
    if _is_listlike(origin or annotation):
        if not isinstance(value, list):
            raise TypeMismatchError(pointer, "an array", value)
        return [parse_json_value(_item(args), one, f"{pointer}/{at}") for at, one in enumerate(value)]
    if _is_mapping(origin or annotation):
        if not isinstance(value, dict):
            raise TypeMismatchError(pointer, "an object", value)
        item = args[1] if len(args) == 2 else Any
        return {key: parse_json_value(item, one, f"{pointer}/{escape(key)}") for key, one in value.items()}
    return value


def is_storable_key(key: str) -> bool:
    """Tell whether a name can be a key of what is stored: PostgreSQL takes no NUL and no lone surrogate there."""
    return "\0" not in key and not any("\ud800" <= one <= "\udfff" for one in key)


def escape(key: str) -> str:
    """Return a key as a part of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _read_union(options: tuple[Any, ...], value: Any, pointer: str) -> Any:
    # Of "date | str" a text that is a date becomes one; of "float | int" 7 stays what it is.
    ordered = sorted(options, key=lambda one: (one is str, one is not type(value)))
    mismatches = []
    for option in ordered:
        try:
            return parse_json_value(option, value, pointer)
        except TypeMismatchError as mismatch:
            mismatches.append(mismatch)
    deepest = max(mismatches, key=lambda one: len(one.pointer))
    if deepest.pointer != pointer:
        raise deepest
    raise TypeMismatchError(pointer, " or ".join(dict.fromkeys(one.expected for one in mismatches)), value)


def _unwrap_annotation(annotation: Any) -> Any:
    """Return an annotation without what it says to others: ``Annotated``, ``NewType``, names of types."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def _json_type_of(annotation: Any) -> JSONType | None:
    if get_origin(annotation) is Literal:
        return _choice(get_args(annotation))
    if not isinstance(annotation, type):
        return _NULL if annotation is None else None
    if annotation in _JSON_TYPES:
        return _JSON_TYPES[annotation]
    if issubclass(annotation, enum.Enum):
        return _choice(tuple(one.value for one in annotation))
    if issubclass(annotation, Model):
        return _row(annotation)
    return None


def _choice(values: tuple[Any, ...]) -> JSONType:
    def read(value: Any) -> Any:
        for one in values:
            if type(one) is type(value) and one == value:
                return value
        raise ValueError

    words = "one of " + ", ".join(map(_name, values))
    return JSONType(schema={"enum": list(values)}, words=words, read=read)


def _row(model: type[Model]) -> JSONType:
    label = model._meta.label_lower

    def read(value: Any) -> Model:
        if type(value) not in {int, str}:
            raise ValueError
        found = model._base_manager.filter(pk=value).first()
        if found is None:
            raise ValueError
        return found

    schema = {"type": ["integer", "string"], "description": f"Primary key of a {label}."}
    return JSONType(schema=schema, words=f"the primary key of a {label}", read=read)


def _is_listlike(kind: Any) -> bool:
    return (
        isinstance(kind, type)
        and issubclass(kind, (Sequence, AbstractSet))
        and not issubclass(kind, (str, bytes))
    )


def _is_mapping(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Mapping)


def _item(args: tuple[Any, ...]) -> Any:
    """Return what a list is of; of a tuple of several things, anything."""
    items = [one for one in args if one is not Ellipsis]
    return items[0] if len(items) == 1 else Any


def _name(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case dict():
            return "an object"
        case list():
            return "an array"
        case float() | int() if abs(value) < 10**40:
            return str(value)
        case str():
            return repr(value if len(value) <= 40 else value[:37] + "...")
    return "a number"


def _read_null(value: Any) -> None:
    if value is not None:
        raise ValueError


def _of_type(*kinds: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) not in kinds:
            raise ValueError
        return value

    return read


def _read_int(value: Any) -> int:
    if type(value) is float and value.is_integer():
        return int(value)
    return _of_type(int)(value)  # type: ignore[no-any-return]  # what came back is an int


def _read_float(value: Any) -> float:
    number = float(_of_type(int, float)(value))
    if not math.isfinite(number):
        raise ValueError
    return number


def _from_text(read: Callable[[str], Any]) -> Callable[[Any], Any]:
    def read_text(value: Any) -> Any:
        return read(_of_type(str)(value))

    return read_text


def _read_decimal(value: Any) -> Decimal:
    try:
        number = Decimal(str(_of_type(int, float, str)(value)))
    except InvalidOperation:
        raise ValueError from None
    if not number.is_finite():
        raise ValueError
    return number


def _read_duration(value: Any) -> timedelta:
    if type(value) in {int, float}:
        return timedelta(seconds=value)
    duration = parse_duration(_of_type(str)(value))
    if duration is None:
        raise ValueError
    return duration


_NULL = JSONType(schema={"type": "null"}, words="null", read=_read_null)
_JSON_TYPES: dict[type, JSONType] = {
    type(None): _NULL,
    bool: JSONType(schema={"type": "boolean"}, words="true or false", read=_of_type(bool)),
    int: JSONType(schema={"type": "integer"}, words="a whole number", read=_read_int),
    float: JSONType(schema={"type": "number"}, words="a number", read=_read_float),
    str: JSONType(schema={"type": "string"}, words="a string", read=_of_type(str)),
    datetime: JSONType(
        schema={"type": "string", "format": "date-time"},
        words="an instant such as 2026-01-02T03:04:05Z",
        read=_from_text(datetime.fromisoformat),
    ),
    date: JSONType(
        schema={"type": "string", "format": "date"},
        words="a date such as 2026-01-02",
        read=_from_text(date.fromisoformat),
    ),
    time: JSONType(
        schema={"type": "string", "format": "time"},
        words="a time such as 03:04:05",
        read=_from_text(time.fromisoformat),
    ),
    timedelta: JSONType(
        schema={
            "type": ["number", "string"],
            "pattern": DURATION_PATTERN,
            "description": "Seconds, or ISO 8601.",
        },
        words="seconds or a duration such as PT90S",
        read=_read_duration,
    ),
    UUID: JSONType(schema={"type": "string", "format": "uuid"}, words="a UUID", read=_from_text(UUID)),
    Decimal: JSONType(
        schema={
            "type": ["number", "string"],
            "pattern": DECIMAL_PATTERN,
            "description": "Exact as a string.",
        },
        words="a decimal number",
        read=_read_decimal,
    ),
    bytes: JSONType(
        schema={"type": "string", "contentEncoding": "base64", "pattern": BASE64_PATTERN},
        words="bytes in base64",
        read=_from_text(lambda text: base64.b64decode(text, validate=True)),
    ),
}
