import json
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from zoneinfo import ZoneInfo

import pytest
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.arguments.serialization import MAX_DEPTH, RESULT_NOT_STORABLE, TAG, dumps, encode, loads
from django_jobs.exceptions import SerializationError
from tests.sampleapp.models import Customer, Document

any_text = st.text(alphabet=st.characters(exclude_categories=()))
storable_keys = st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0")) | st.just("$type")
zones = st.none() | st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def without_idle_fold(value):
    """Leave the fold to values without an offset: a fixed offset does not ask for it."""
    return value if value.tzinfo is None else value.replace(fold=0)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2**62, 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    any_text,
    st.datetimes(timezones=zones).map(without_idle_fold),
    st.dates(),
    st.times(timezones=zones).map(without_idle_fold),
    st.timedeltas(),
    st.uuids(),
    st.decimals(allow_nan=False),
    st.binary(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(storable_keys, inner, max_size=4),
    max_leaves=20,
)


def carried(value):
    return loads(dumps(value, what="value"))


def same(one, other):
    """Equal, of the same type, with the same sign of zero and the same offset."""
    return type(one) is type(other) and repr(one) == repr(other)


@given(value=values)
def test_every_value_comes_back_as_it_went(value):
    back = carried(value)

    assert back == value
    assert same(back, value)


@given(value=values)
def test_what_is_written_is_text_that_every_database_takes(value):
    text = dumps(value, what="value")

    text.encode("utf-8")
    assert "\\u0000" not in text
    assert "\0" not in text


@given(value=values)
def test_no_number_is_left_to_a_database_that_would_round_it(value):
    """PostgreSQL's jsonb keeps numerics, drops the sign of zero and writes exponents out; MySQL has doubles."""

    def refuse(text):
        raise AssertionError(f"{text} is written as a number")

    json.loads(
        dumps(value, what="value"),
        parse_int=lambda text: int(text) if abs(int(text)) < 2**63 else refuse(text),
        parse_float=lambda text: float(text) if "e" not in text.lower() and float(text) else refuse(text),
    )


@pytest.mark.parametrize(
    "value",
    [
        2**70,
        -(2**70),
        2**63 - 1,
        -(2**63),
        -0.0,
        0.1,
        1e300,
        5e-324,
        "a\0b",
        "\ud800",
        "\ud800\udc00",
        "back\\slash \\u0000 é 😀",
        {"$type": "datetime", "value": "2026-01-01"},
        {"$type": {"$type": None}},
        [[], {}, ""],
        Decimal("1.10"),
        Decimal("-Infinity"),
        datetime(2026, 3, 29, 2, 30, 0, 1, tzinfo=UTC),
        datetime(1, 1, 1),  # noqa: DTZ001 - naive ones are carried too
        datetime(2026, 10, 25, 2, 30, fold=1),  # noqa: DTZ001 - the second half past two of that night
        time(2, 30, fold=1),
        timedelta.max,
        timedelta.min,
        time(23, 59, 59, 999999, tzinfo=UTC),
        date.max,
        b"\0\xff",
        uuid.UUID(int=0),
    ],
)
def test_a_hard_value_comes_back_as_it_went(value):
    assert same(carried(value), value)


def test_an_instant_in_a_named_zone_comes_back_as_the_same_instant():
    instant = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))

    back = carried(instant)

    assert back.astimezone(UTC) == instant.astimezone(UTC)
    assert back.utcoffset() == timedelta(hours=1)


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Plain(Enum):
    ONE = object()


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "back"),
    [
        ((1, (2, 3)), [1, [2, 3]]),
        (bytearray(b"ab"), b"ab"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Name("anna"), "anna"),
        ({Colour.RED: 1}, {"red": 1}),
        (gettext_lazy("Yes"), "Yes"),
    ],
)
def test_a_value_of_a_richer_type_comes_back_as_its_plain_one(value, back):
    assert same(carried(value), back)


def test_plain_json_is_written_as_it_is_so_that_rows_can_be_searched():
    assert dumps({"user_id": 7, "name": "Zoë", "tags": [None, True, 1.5]}, what="x") == (
        '{"user_id":7,"name":"Zoë","tags":[null,true,1.5]}'
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (object(), "builtins.object"),
        ({1}, "builtins.set"),
        (1j, "builtins.complex"),
        (Plain.ONE, "test_serialization.Plain"),
        (len, "builtins.builtin_function_or_method"),
        (ZoneInfo("UTC"), "zoneinfo.ZoneInfo"),
    ],
)
def test_what_json_cannot_carry_is_refused_naming_where_it_is_and_its_type(value, kind):
    with pytest.raises(SerializationError) as caught:
        dumps({"orders": [1, value]}, what="argument 'data'")

    message = str(caught.value)
    assert message.startswith("argument 'data'['orders'][1]: expected a JSON value")
    assert f"got {kind}" in message or message.endswith(kind)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_is_no_number_is_refused(number):
    with pytest.raises(SerializationError, match=rf"value\[0\]: JSON cannot carry {number}"):
        dumps([number], what="value")


@pytest.mark.parametrize("key", [1, None, ("a",)])
def test_a_key_that_is_no_string_is_refused(key):
    with pytest.raises(SerializationError, match="value: keys of a dict must be strings, got "):
        dumps({key: 1}, what="value")


@pytest.mark.parametrize("key", ["a\0b", "\ud800"])
def test_a_key_that_a_database_refuses_is_refused_here(key):
    with pytest.raises(SerializationError, match="value: keys of a dict must be valid text without NUL, got "):
        dumps({key: 1}, what="value")


def nested(depth, wrap=lambda inner: [inner]):
    value = 0
    for _ in range(depth):
        value = wrap(value)
    return value


def test_nesting_is_carried_up_to_a_bound_and_refused_behind_it():
    assert carried(nested(MAX_DEPTH)) == nested(MAX_DEPTH)

    for wrap in (lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: (inner,)):
        with pytest.raises(SerializationError, match=f"nested more than {MAX_DEPTH} levels deep"):
            dumps(nested(MAX_DEPTH + 2, wrap), what="value")


def test_a_value_that_contains_itself_is_refused():
    endless = []
    endless.append(endless)

    with pytest.raises(SerializationError, match="levels deep"):
        dumps(endless, what="value")


def test_a_saved_instance_is_written_as_a_reference():
    customer = Customer.from_db("default", ["id", "name", "visits"], [7, "Anna", 0])

    assert encode(customer, what="value") == {
        "$type": "model",
        "model": "sampleapp.customer",
        "pk": 7,
        "using": "default",
    }


def test_a_key_that_json_has_no_word_for_is_tagged_within_the_reference():
    key = uuid.UUID(int=5)

    assert encode(Document.from_db("default", ["id", "title"], [key, "t"]), what="value")["pk"] == {
        "$type": "uuid",
        "value": str(key),
    }


@pytest.mark.parametrize("instance", [Customer(), Customer(pk=7), Document()])
def test_an_unsaved_instance_is_refused(instance):
    with pytest.raises(SerializationError, match=r"value: sampleapp\.\w+ instance is not saved yet; save it before"):
        dumps(instance, what="value")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "stored JSON cannot be read"),
        ("[" * 100_000, "stored JSON cannot be read"),
        (
            '{"$type":"function","value":"os.system"}',
            r"unknown tag 'function'; known are bytes, date, datetime",
        ),
        ('{"$type":["uuid"]}', "unknown tag"),
        ('{"$type":null}', "unknown tag None"),
        ('{"$type":"uuid","value":"no"}', "a stored uuid cannot be read"),
        ('{"$type":"uuid"}', "a stored uuid cannot be read"),
        ('{"$type":"decimal","value":"no"}', "a stored decimal cannot be read"),
        ('{"$type":"timedelta","value":1e300}', "a stored timedelta cannot be read"),
        ('{"$type":"bytes","value":"no!"}', "a stored bytes cannot be read"),
        ('{"$type":"dict","value":[1]}', "a stored dict cannot be read"),
        ('{"$type":"datetime","value":5}', "a stored datetime cannot be read"),
        (
            '{"$type":"model","model":"gone.Model","pk":1,"using":"default"}',
            "a stored model reference cannot be read",
        ),
        ('{"$type":"model","model":"sampleapp.gone","pk":1,"using":"default"}', "a stored model reference"),
        ('{"$type":"model","model":"sampleapp.customer","pk":1}', "a stored model cannot be read"),
        ('{"$type":"model","model":"sampleapp.customer","pk":1,"using":"gone"}', "a stored model"),
        ('{"$type":"model","model":7,"pk":1,"using":"default"}', "a stored model"),
    ],
)
def test_what_cannot_be_read_back_is_said_to_be_so(text, message):
    with pytest.raises(SerializationError, match=message):
        loads(text)


def test_a_result_that_was_not_storable_has_no_reader():
    with pytest.raises(SerializationError, match="unknown tag 'not_storable'"):
        loads(json.dumps(RESULT_NOT_STORABLE))


def test_a_row_edited_by_hand_may_have_spaces_around_it_and_escapes_in_its_tags() -> None:
    text = dumps({"at": date(2026, 1, 2)}, what="arguments")
    escaped = text.replace(TAG, "".join(f"\\u{ord(letter):04x}" for letter in TAG))
    assert TAG not in escaped
    assert loads(f" {escaped}\n") == loads(text) == {"at": date(2026, 1, 2)}
