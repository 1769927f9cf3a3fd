"""Annotations as JSON Schema, and JSON values parsed by them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Optional, TypedDict
from uuid import UUID

import pytest

from django_jobs.arguments.json_schema import (
    KEY_PATTERN,
    TypeMismatchError,
    is_storable_key,
    parse_json_value,
    schema_of,
)

UserId = NewType("UserId", int)
ID = UUID("12345678-1234-5678-1234-567812345678")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Address(TypedDict):
    street: str


class Own:
    """A type that the module does not support."""


GOOD: list[tuple[Any, Any, Any]] = [
    (int, 7, 7),
    (int, 7.0, 7),
    (int, -(2**70), -(2**70)),
    (UserId, 7, 7),
    (Annotated[int, "of a user"], 7, 7),
    (float, 7, 7.0),
    (float, 0.5, 0.5),
    (bool, True, True),
    (str, "", ""),
    (str, "nul \0 and a lone \ud800", "nul \0 and a lone \ud800"),
    (None, None, None),
    (int | None, None, None),
    (Optional[int], 7, 7),  # noqa: UP045 - the old spelling is to work as well
    (datetime, "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    (date, "2026-01-02", date(2026, 1, 2)),
    (time, "03:04:05", time(3, 4, 5)),
    (timedelta, 90, timedelta(seconds=90)),
    (timedelta, "PT90S", timedelta(seconds=90)),
    (UUID, str(ID), ID),
    (Decimal, "1.20", Decimal("1.20")),
    (Decimal, 1.5, Decimal("1.5")),
    (bytes, "AAE=", b"\0\1"),
    (list[int], [1, 2], [1, 2]),
    (list, [1, "a"], [1, "a"]),
    (Sequence[UUID], [str(ID)], [ID]),
    (tuple[int, ...], [1, 2], [1, 2]),
    (tuple[int, str], [1, "a"], [1, "a"]),
    (set[int], [1], [1]),
    (dict[str, date], {"a": "2026-01-02"}, {"a": date(2026, 1, 2)}),
    (Mapping[str, Any], {"a": None}, {"a": None}),
    (Address, {"street": "Main"}, {"street": "Main"}),
    (Literal["a", 1], 1, 1),
    (Colour, "red", "red"),
    (date | str, "2026-01-02", date(2026, 1, 2)),
    (str | date, "tomorrow", "tomorrow"),
    (float | int, 7, 7),
    (Own, {"any": "thing"}, {"any": "thing"}),
    (Any, {"$type": "model"}, {"$type": "model"}),
]


@pytest.mark.parametrize(("annotation", "value", "read"), GOOD, ids=str)
def test_a_fitting_value_is_parsed_into_the_annotated_type(annotation: Any, value: Any, read: Any) -> None:
    found = parse_json_value(annotation, value, "/x")
    assert found == read
    assert type(found) is type(read)


BAD: list[tuple[Any, Any, str, str]] = [
    (int, "7", "/x", "expected a whole number, got '7'"),
    (int, 7.5, "/x", "expected a whole number, got 7.5"),
    (int, True, "/x", "expected a whole number, got true"),
    (int, None, "/x", "expected a whole number, got null"),
    (float, float("inf"), "/x", "expected a number, got a number"),
    (float, 10**400, "/x", "expected a number, got a number"),
    (bool, 1, "/x", "expected true or false, got 1"),
    (str, 7, "/x", "expected a string, got 7"),
    (str, {"$type": "text"}, "/x", "expected a string, got an object"),
    (None, 0, "/x", "expected null, got 0"),
    (int | None, "x" * 100, "/x", "expected a whole number or null, got '" + "x" * 37 + "...'"),
    (datetime, "soon", "/x", "expected an instant such as 2026-01-02T03:04:05Z, got 'soon'"),
    (datetime, 7, "/x", "expected an instant"),
    (date, "2026-02-30", "/x", "expected a date"),
    (time, "25:00", "/x", "expected a time"),
    (timedelta, "long", "/x", "expected seconds or a duration such as PT90S"),
    (timedelta, 1e300, "/x", "expected seconds"),
    (UUID, "1234", "/x", "expected a UUID"),
    (Decimal, "1,20", "/x", "expected a decimal number"),
    (Decimal, "NaN", "/x", "expected a decimal number"),
    (bytes, "not base64!", "/x", "expected bytes in base64"),
    (list[int], 7, "/x", "expected an array, got 7"),
    (list[int], "12", "/x", "expected an array, got '12'"),
    (list[int], [1, "a"], "/x/1", "expected a whole number, got 'a'"),
    (dict[str, int], [], "/x", "expected an object, got an array"),
    (dict[str, list[int]], {"a/b": [None]}, "/x/a~1b/0", "expected a whole number, got null"),
    (list[int] | None, ["a"], "/x/0", "expected a whole number, got 'a'"),
    (Literal["a", 1], True, "/x", "expected one of 'a', 1, got true"),
    (Colour, "green", "/x", "expected one of 'red', 'blue', got 'green'"),
]


@pytest.mark.parametrize(("annotation", "value", "pointer", "said"), BAD, ids=str)
def test_a_value_that_does_not_fit_is_refused_with_its_place(
    annotation: Any, value: Any, pointer: str, said: str
) -> None:
    with pytest.raises(TypeMismatchError) as caught:
        parse_json_value(annotation, value, "/x")
    assert caught.value.pointer == pointer
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (int, {"type": "integer"}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (list[datetime], {"type": "array", "items": {"type": "string", "format": "date-time"}}),
        (
            dict[str, int],
            {
                "type": "object",
                "additionalProperties": {"type": "integer"},
                "propertyNames": {"pattern": KEY_PATTERN},
            },
        ),
        (dict, {"type": "object", "additionalProperties": {}, "propertyNames": {"pattern": KEY_PATTERN}}),
        (list, {"type": "array", "items": {}}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (Colour, {"enum": ["red", "blue"]}),
        (Own, {}),
        (Any, {}),
    ],
    ids=str,
)
def test_an_annotation_has_the_schema_of_the_accepted_values(annotation: Any, schema: Any) -> None:
    assert schema_of(annotation) == schema


@pytest.mark.parametrize(
    ("key", "is_one"),
    [("a", True), ("", True), ("\u00fc\U0001f4a5", True), ("a\0", False), ("\ud800", False)],
)
def test_a_key_that_a_database_cannot_store_is_refused(key: str, is_one: bool) -> None:
    assert is_storable_key(key) == is_one
