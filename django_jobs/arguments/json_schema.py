"""The JSON Schema of an annotation, and parsing of JSON values into the annotated Python types.

Supported: plain types, date and time types, UUID, Decimal, bytes, rows by primary key, lists, mappings, unions,
literals, enums. Any other annotation accepts any JSON. Ours and not pydantic's: it would turn lists into sets and
texts into enum members, which arguments cannot store, and accepts ``"yes"`` for a bool or ``true`` for 1.
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
"""Patterns for clients that validate before they send; parsing accepts a little more."""


class TypeMismatchError(ValueError):
    """A JSON value does not fit its annotation: ``pointer`` (RFC 6901) is its place, the message what was expected."""

    def __init__(self, pointer: str, expected: str, got: object) -> None:
        super().__init__(f"expected {expected}, got {_describe(got)}")
        self.pointer = pointer
        self.expected = expected


@dataclass(frozen=True, slots=True, kw_only=True)
class JSONType:
    """A type of JSON values: its schema, its name in messages, its parser; ``parse`` raises ValueError."""

    schema: Schema
    label: str
    parse: Callable[[Any], Any]


def schema_of(annotation: Any) -> Schema:
    """Return the JSON Schema of the values that ``parse_json_value`` accepts for an annotation."""
    annotation = _unwrap_annotation(annotation)
    if (kind := _json_type_of(annotation)) is not None:
        return dict(kind.schema)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        return {"anyOf": [schema_of(option) for option in args]}
    if _is_listlike(origin or annotation):
        return {"type": "array", "items": schema_of(_item(args))}
    if _is_mapping(origin or annotation):
        values = schema_of(args[1] if len(args) == 2 else Any)
        return {"type": "object", "additionalProperties": values, "propertyNames": {"pattern": KEY_PATTERN}}
    return {}


def parse_json_value(annotation: Any, value: Any, pointer: str) -> Any:
    """Return a JSON value as the annotated type. Raises TypeMismatchError with the place."""
    annotation = _unwrap_annotation(annotation)
    if (kind := _json_type_of(annotation)) is not None:
        try:
            return kind.parse(value)
        except (ValueError, TypeError, ArithmeticError, ValidationError):
            raise TypeMismatchError(pointer, kind.label, value) from None
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        return _parse_union(args, value, pointer)
    if _is_listlike(origin or annotation):
        if not isinstance(value, list):
            raise TypeMismatchError(pointer, "an array", value)
        return [parse_json_value(_item(args), item, f"{pointer}/{at}") for at, item in enumerate(value)]
    if _is_mapping(origin or annotation):
        if not isinstance(value, dict):
            raise TypeMismatchError(pointer, "an object", value)
        of = args[1] if len(args) == 2 else Any
        return {key: parse_json_value(of, item, f"{pointer}/{escape(key)}") for key, item in value.items()}
    return value


def is_storable_key(key: str) -> bool:
    """Tell whether a name can be a key in stored JSON: PostgreSQL takes no NUL and no lone surrogate there."""
    return "\0" not in key and not any("\ud800" <= char <= "\udfff" for char in key)


def escape(key: str) -> str:
    """Return a key as a part of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _parse_union(options: tuple[Any, ...], value: Any, pointer: str) -> Any:
    # For "date | str" the text of a date becomes a date; for "float | int" 7 stays an int.
    ordered = sorted(options, key=lambda option: (option is str, option is not type(value)))
    mismatches = []
    for option in ordered:
        try:
            return parse_json_value(option, value, pointer)
        except TypeMismatchError as mismatch:
            mismatches.append(mismatch)
    deepest = max(mismatches, key=lambda mismatch: len(mismatch.pointer))
    if deepest.pointer != pointer:
        raise deepest
    raise TypeMismatchError(pointer, " or ".join(dict.fromkeys(mismatch.expected for mismatch in mismatches)), value)


def _unwrap_annotation(annotation: Any) -> Any:
    """Return the type inside ``Annotated``, ``NewType`` and type aliases."""
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
        return _choice(tuple(member.value for member in annotation))
    if issubclass(annotation, Model):
        return _row(annotation)
    return None


def _choice(values: tuple[Any, ...]) -> JSONType:
    def parse(value: Any) -> Any:
        for choice in values:
            if type(choice) is type(value) and choice == value:
                return value
        raise ValueError

    label = "one of " + ", ".join(map(_describe, values))
    return JSONType(schema={"enum": list(values)}, label=label, parse=parse)


def _row(model: type[Model]) -> JSONType:
    label = model._meta.label_lower

    def parse(value: Any) -> Model:
        if type(value) not in {int, str}:
            raise ValueError
        found = model._base_manager.filter(pk=value).first()
        if found is None:
            raise ValueError
        return found

    schema = {"type": ["integer", "string"], "description": f"Primary key of a {label}."}
    return JSONType(schema=schema, label=f"the primary key of a {label}", parse=parse)


def _is_listlike(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, (Sequence, AbstractSet)) and not issubclass(kind, (str, bytes))


def _is_mapping(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Mapping)


def _item(args: tuple[Any, ...]) -> Any:
    """Return the annotation of a list's items; Any for a tuple of several types."""
    items = [arg for arg in args if arg is not Ellipsis]
    return items[0] if len(items) == 1 else Any


def _describe(value: object) -> str:
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


def _parse_null(value: Any) -> None:
    if value is not None:
        raise ValueError


def _of_type(*kinds: type) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if type(value) not in kinds:
            raise ValueError
        return value

    return parse


def _parse_int(value: Any) -> int:
    if type(value) is float and value.is_integer():
        return int(value)
    return _of_type(int)(value)  # type: ignore[no-any-return]  # checked to be an int


def _parse_float(value: Any) -> float:
    number = float(_of_type(int, float)(value))
    if not math.isfinite(number):
        raise ValueError
    return number


def _from_text(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    def parse_text(value: Any) -> Any:
        return parse(_of_type(str)(value))

    return parse_text


def _parse_decimal(value: Any) -> Decimal:
    try:
        number = Decimal(str(_of_type(int, float, str)(value)))
    except InvalidOperation:
        raise ValueError from None
    if not number.is_finite():
        raise ValueError
    return number


def _parse_duration(value: Any) -> timedelta:
    if type(value) in {int, float}:
        return timedelta(seconds=value)
    duration = parse_duration(_of_type(str)(value))
    if duration is None:
        raise ValueError
    return duration


_NULL = JSONType(schema={"type": "null"}, label="null", parse=_parse_null)
_JSON_TYPES: dict[type, JSONType] = {
    type(None): _NULL,
    bool: JSONType(schema={"type": "boolean"}, label="true or false", parse=_of_type(bool)),
    int: JSONType(schema={"type": "integer"}, label="a whole number", parse=_parse_int),
    float: JSONType(schema={"type": "number"}, label="a number", parse=_parse_float),
    str: JSONType(schema={"type": "string"}, label="a string", parse=_of_type(str)),
    datetime: JSONType(
        schema={"type": "string", "format": "date-time"},
        label="an instant such as 2026-01-02T03:04:05Z",
        parse=_from_text(datetime.fromisoformat),
    ),
    date: JSONType(
        schema={"type": "string", "format": "date"},
        label="a date such as 2026-01-02",
        parse=_from_text(date.fromisoformat),
    ),
    time: JSONType(
        schema={"type": "string", "format": "time"},
        label="a time such as 03:04:05",
        parse=_from_text(time.fromisoformat),
    ),
    timedelta: JSONType(
        schema={
            "type": ["number", "string"],
            "pattern": DURATION_PATTERN,
            "description": "Seconds, or ISO 8601.",
        },
        label="seconds or a duration such as PT90S",
        parse=_parse_duration,
    ),
    UUID: JSONType(schema={"type": "string", "format": "uuid"}, label="a UUID", parse=_from_text(UUID)),
    Decimal: JSONType(
        schema={
            "type": ["number", "string"],
            "pattern": DECIMAL_PATTERN,
            "description": "Exact as a string.",
        },
        label="a decimal number",
        parse=_parse_decimal,
    ),
    bytes: JSONType(
        schema={"type": "string", "contentEncoding": "base64", "pattern": BASE64_PATTERN},
        label="bytes in base64",
        parse=_from_text(lambda text: base64.b64decode(text, validate=True)),
    ),
}
