"""What is written of a subclass, as a value or as a key, is read back as the plain value that it equals; or refused."""

import enum
import operator
from collections import Counter, OrderedDict, defaultdict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db.models import IntegerChoices, TextChoices
from django.forms.utils import ErrorList
from django.http import QueryDict
from django.utils.functional import SimpleLazyObject, lazy
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from django_jobs import job
from django_jobs.arguments.serialization import dumps, loads
from django_jobs.arguments.signature import CallSignature
from django_jobs.exceptions import SerializationError

SHOWN = (
    "__str__", "__repr__", "__format__", "__int__", "__index__", "__float__", "__bytes__", "__bool__", "__abs__",
    "__floordiv__", "__truediv__", "__add__", "__radd__", "isoformat", "strftime", "total_seconds", "toordinal",
    "timetz", "date", "time", "replace", "encode", "isascii", "hex", "as_tuple", "bit_length", "is_integer", "tobytes",
    "__reduce__", "__reduce_ex__", "__getattribute__", "__len__", "__contains__", "__copy__", "copy", "year", "hour",
    "days", "seconds", "microseconds", "tzinfo", "fold", "__getitem__", "is_nan", "utcoffset",
)  # fmt: skip
"""What a subclass may show otherwise than its content is. Equality and iteration are left: they say what it is."""


def lie(*_args, **_kwargs):
    raise RuntimeError("do not ask")


def subclass(base, *names):
    members = {name: lie for name in names if name in dir(base)}
    return type(f"Odd{base.__name__}", (base,), members)


def rebuilt(kind, value):
    match value:
        case datetime():
            fields = operator.attrgetter("year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo")
            return kind(*fields(value), fold=value.fold)
        case date():
            return kind(value.year, value.month, value.day)
        case time():
            return kind(value.hour, value.minute, value.second, value.microsecond, value.tzinfo)
        case timedelta():
            return kind(value.days, value.seconds, value.microseconds)
        case UUID():
            return kind(int=value.int)
        case _:
            return kind(value)


zones = st.none() | st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
any_text = st.text(alphabet=st.characters(exclude_categories=()))
atoms = st.one_of(
    st.integers(),
    st.integers(2**62, 2**5000),
    st.floats(allow_nan=False, allow_infinity=False),
    any_text,
    st.datetimes(timezones=zones | st.just(ZoneInfo("Europe/Berlin"))),
    st.dates(),
    st.times(timezones=zones),
    st.timedeltas(),
    st.uuids(),
    st.decimals(),
    st.binary(),
)


def same(one, other):
    if isinstance(one, datetime) and one.tzinfo is not None:
        return one.astimezone(UTC) == other.astimezone(UTC) and one.utcoffset() == other.utcoffset()
    return type(one) is type(other) and (repr(one) == repr(other) or (one == other and not isinstance(one, float)))


@given(value=atoms, data=st.data())
def test_a_subclass_that_shows_itself_otherwise_comes_back_as_what_it_is(value, data):
    names = data.draw(st.lists(st.sampled_from([name for name in SHOWN if name != "__getattribute__"]), max_size=6))
    written = rebuilt(subclass(type(value), *names), value)

    assert same(loads(dumps(written, what="value")), value)
    assert same(loads(dumps({"key": [(written,)]}, what="value")), {"key": [[value]]}) or isinstance(value, datetime)


@given(value=atoms)
def test_a_subclass_that_fails_at_everything_is_carried_or_refused(value):
    written = rebuilt(subclass(type(value), *SHOWN, "__eq__", "__hash__", "__iter__"), value)

    try:
        text = dumps(written, what="value")
    except SerializationError as error:
        assert str(error).startswith("value: ")  # noqa: PT017 - either is right
    else:
        assert same(loads(text), value)


@given(text=any_text, names=st.lists(st.sampled_from(SHOWN), max_size=6))
def test_a_key_of_a_subclass_comes_back_as_its_text(text, names):
    key = subclass(str, *(set(names) - {"__getattribute__"}))(text)

    try:
        written = dumps({key: key}, what="value")
    except SerializationError:
        assert "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text)
    else:
        assert loads(written) == {text: text}
        assert [type(part) for item in loads(written).items() for part in item] == [str, str]


class Status(str, enum.Enum):  # noqa: UP042 - the kind whose str() is its name
    PAID = "paid"


class Word(enum.StrEnum):
    PAID = "paid"


class Choice(TextChoices):
    PAID = "paid", gettext_lazy("Paid")


class Labelled(str, enum.Enum):  # noqa: UP042 - as above
    """Its value is not its text."""

    PAID = ("paid", 7)

    def __new__(cls, text, number):
        member = str.__new__(cls, text)
        member._value_ = number
        return member


class Level(int, enum.Enum):
    HIGH = 3


class Number(IntegerChoices):
    HIGH = 3, gettext_lazy("High")


class Bits(enum.IntFlag):
    BOTH = 3


class Ratio(float, enum.Enum):
    HALF = 0.5


class Day(date, enum.Enum):
    FIRST = (2026, 1, 1)


class Pair(tuple, enum.Enum):
    ONE = (1, 2)


class Raw(bytes, enum.Enum):
    AB = b"ab"


class Price(Decimal, enum.Enum):
    LOW = "1.10"


Point = namedtuple("Point", "x y")  # noqa: PYI024 - the untyped kind


@pytest.mark.parametrize(
    ("value", "back"),
    [
        *((kind.PAID, "paid") for kind in (Status, Word, Choice, Labelled)),
        *(({kind.PAID: kind.PAID}, {"paid": "paid"}) for kind in (Status, Word, Choice, Labelled)),
        ({mark_safe("<b>"): mark_safe("<i>")}, {"<b>": "<i>"}),
        (Level.HIGH, 3),
        (Number.HIGH, 3),
        (Bits.BOTH, 3),
        (Ratio.HALF, 0.5),
        (Day.FIRST, date(2026, 1, 1)),
        (Pair.ONE, [1, 2]),
        (Raw.AB, b"ab"),
        (Price.LOW, Decimal("1.10")),
        (Point(1, Status.PAID), [1, "paid"]),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (lazy(lambda: "text", str)(), "text"),
        (SimpleLazyObject(lambda: {"a": Status.PAID}), {"a": "paid"}),
        (SimpleLazyObject(lambda: 2**70), 2**70),
        (SimpleLazyObject(lambda: date(2026, 1, 1)), date(2026, 1, 1)),
        (bytearray(b"ab"), b"ab"),
        (type("Old", (str,), {"__str__": lambda self: "new"})("old"), "old"),
        (Decimal("NaN"), Decimal("NaN")),
    ],
)
def test_a_richer_type_comes_back_as_the_plain_value_that_it_equals(value, back):
    read = loads(dumps(value, what="value"))

    assert type(read) is type(back)
    assert read == back == value or repr(read) == repr(back)


class Upper(str):
    """Is not equal to its content."""

    __slots__ = ()
    __eq__ = lambda self, other: str.__eq__(self.upper(), other)  # noqa: E731
    __hash__ = lambda self: hash(self.upper())  # noqa: E731


class Doubled(list):
    __iter__ = lambda self: iter([item * 2 for item in list.__iter__(self)])  # noqa: E731


class Elsewhere(dict):
    """Keeps its items in another place."""

    items = lambda self: [("a", 1)]  # noqa: E731


class Nanoseconds(datetime):
    """Is finer than its content, as pandas' Timestamp is."""

    __eq__ = lambda self, other: False  # noqa: E731
    __hash__ = datetime.__hash__


class Zone(tzinfo):
    utcoffset = lambda self, _: lie()  # noqa: E731


class Offsetless(tzinfo):
    utcoffset = lambda self, _: None  # noqa: E731


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Upper("a"), "Upper does not equal its content as a str"),
        (lambda: {Upper("a"): 1}, "Upper does not equal its content as a str"),
        (lambda: Doubled([1]), "Doubled does not equal its content as a list"),
        (Elsewhere, "Elsewhere does not equal its content as a dict"),
        (lambda: QueryDict("a=1&a=2"), "QueryDict does not equal its content as a dict"),
        (lambda: ErrorList(["wrong"]), "ErrorList does not equal its content as a list"),
        (lambda: Nanoseconds(2026, 1, 1, tzinfo=UTC), "Nanoseconds does not equal its content as a datetime"),
        (lazy(lambda: 5, int), "does not equal its content as a Promise"),
        (lambda: SimpleLazyObject(lie), "SimpleLazyObject cannot be read: do not ask"),
        (lambda: datetime(2026, 1, 1, tzinfo=Zone()), "time zone .* cannot be read: do not ask"),
        (lambda: datetime(2026, 1, 1, tzinfo=timezone(timedelta(microseconds=-1))), "has a fraction of a second"),
        (lambda: time(1, 1, 1, 1, tzinfo=timezone(timedelta(microseconds=1))), "has a fraction of a second"),
        (lambda: time(1, tzinfo=Zone()), "time zone .* cannot be read: do not ask"),
        (lambda: time(1, tzinfo=ZoneInfo("Europe/Berlin")), "its time zone .*Berlin.* has no offset"),
        (lambda: datetime(2026, 1, 1, tzinfo=Offsetless()), "its time zone .* has no offset"),
        (lambda: subclass(float)("nan"), "JSON cannot carry nan"),
        (lambda: subclass(float)("-inf"), "JSON cannot carry -inf"),
        (
            lambda: type("Loud", (str,), {"__eq__": lie, "__hash__": str.__hash__})("a"),
            "Loud cannot be read: do not ask",
        ),
        (lambda: enum.Enum("Plain", "ONE").ONE, "expected a JSON value"),
        (lambda: SimpleLazyObject(object), "expected a JSON value"),
    ],
)
def test_what_would_come_back_as_another_value_is_refused_at_the_enqueue(make, reason):
    with pytest.raises(SerializationError, match=rf"^value\['a'\]\[0\].*: .*{reason}"):
        dumps({"a": [{"b": make()}]}, what="value")


def test_two_keys_of_one_text_are_refused():
    apart = type("Apart", (str,), {"__hash__": lambda self: 1, "__eq__": lambda self, other: self is other})
    kept = type("Kept", (str,), {"__hash__": lambda self: 1})

    with pytest.raises(SerializationError, match="Apart does not equal its content"):
        dumps({apart("a"): 1}, what="value")
    with pytest.raises(SerializationError, match="two keys of the dict are the same text"):
        dumps({kept("a"): 1, "a": 2}, what="value")


@pytest.mark.parametrize("keyword", ["$type", "*", "**", "first", Status.PAID])
def test_a_keyword_of_any_name_reaches_the_function(keyword):
    def work(first, /, *rest, **others):
        return first, rest, others

    signature = CallSignature(work, name="sample.work", takes_context=False)
    stored = loads(dumps(signature.bind((1, 2), {keyword: {"$type": 5}}), what="arguments"))
    args, kwargs = signature.call_arguments(stored)

    assert work(*args, **kwargs) == (1, (2,), {str.__str__(keyword): {"$type": 5}})
    assert all(type(key) is str for key in kwargs)


@pytest.mark.parametrize("keyword", ["a\0b", "\ud800"])
def test_a_keyword_that_a_database_refuses_is_refused_at_the_enqueue(keyword):
    definition = job(name=f"sample.keywords{ord(keyword[-1])}")(lambda **others: None)

    with pytest.raises(SerializationError, match="keyword arguments: keys of a dict must be valid text without NUL"):
        definition.enqueue(**{keyword: 1})
