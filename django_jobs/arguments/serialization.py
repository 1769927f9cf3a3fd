"""Arguments and results as JSON text, with a closed list of tagged types.

A value that JSON cannot express is written as ``{"$type": <tag>, "value": <text>}``. Only the tags below are ever read
back; nothing named in the database is imported or called. Tuples come back as lists.

=============  =====================================================================
tag            carries
=============  =====================================================================
datetime, time ISO 8601, aware or naive; a naive one of the hour that is repeated in autumn has ``"fold": 1``, too
date           ISO 8601
timedelta      whole microseconds
uuid, decimal  their text
bytes          base64
int, float     numbers that a database's JSON type would change (over 64 bits, exponents)
text           strings that PostgreSQL's jsonb refuses (NUL, lone surrogates), escaped
dict           a dict that itself has the key ``$type``
model          a model instance, by reference: ``app_label.model``, primary key, database
result         the result of a job that this one waits for: ``of`` its number among those, null for a list of all
=============  =====================================================================
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from django.apps import apps
from django.db import connections
from django.db.models import Model
from django.utils.connection import ConnectionDoesNotExist

from ..exceptions import ResultNotPassedError, SerializationError
from .plain import plain_text, plain_value

TAG = "$type"
MAX_DEPTH = 30
"""MariaDB reads JSON of 32 levels; one is the object of arguments, one a tag."""
_MAX_INT = 2**63 - 1
_JSON_SCALARS = frozenset({bool, type(None)})

RESULT_NOT_STORABLE = {TAG: "not_storable"}
"""Stored in place of a result that could not be serialized; it has no reader."""
RESULT_EXPIRED = {TAG: "expired"}
"""Stored in place of a result whose time to live is over."""
RESULT_FILE_TAG = "result_file"
"""The tag of the reference to a result in a file; ``result_storage`` reads it."""
RESULT_TAG = "result"


@dataclass(frozen=True, slots=True)
class ResultPlaceholder:
    """The result of a predecessor, as an argument: its number among those waited for; None: a list of all."""

    of: int | None = None


def dumps(value: object, *, what: str) -> str:
    """Return ``value`` as compact JSON text. ``what`` names it in the SerializationError raised otherwise."""
    return json.dumps(encode(value, what=what), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


_decoder = json.JSONDecoder()


def loads(text: str) -> Any:
    """Return the value that ``dumps`` was given.

    Raises SerializationError for text that is no JSON or has an unknown tag, and the model's own ``DoesNotExist`` if a
    referenced row is gone.
    """
    value = read_json(text)
    # No tag without its name, which could also be written with escapes.
    return decode(value) if TAG in text or "\\" in text else value


def read_json(text: str) -> Any:
    """Return stored JSON as it is, with its tags. Raises SerializationError if it is no JSON."""
    try:
        return _parse(text)
    except (ValueError, RecursionError) as error:
        raise SerializationError(f"stored JSON cannot be read: {error}") from error


def _parse(text: str) -> Any:
    """Return the value of JSON text; ``decode`` searches it for spaces at both ends first, where there are none."""
    try:
        value, end = _decoder.raw_decode(text)
    except ValueError:
        return _decoder.decode(text)
    return value if end == len(text) else _decoder.decode(text)


def encode(value: object, *, what: str, depth: int = 0) -> Any:
    """Return ``value`` as JSON's own types, with tags for others. Raises SerializationError."""
    kind = type(value)
    if kind in _JSON_SCALARS:
        return value
    if kind is str:
        return _encode_text(cast("str", value))
    if kind is int:
        return _encode_int(cast("int", value))
    if depth > MAX_DEPTH:
        raise SerializationError(f"{what}: nested more than {MAX_DEPTH} levels deep")
    if kind is dict:
        return _encode_dict(cast("dict[Any, Any]", value), what, depth)
    if kind is list or kind is tuple:
        items = cast("Sequence[Any]", value)
        return [encode(item, what=f"{what}[{at}]", depth=depth + 1) for at, item in enumerate(items)]
    writer = _WRITERS.get(kind)
    return _encode_other(value, what, depth) if writer is None else writer(value, what)


def decode(value: Any) -> Any:
    """Return the Python value of decoded JSON, tags resolved."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        if TAG in value:
            return _untag(value)
        return {key: decode(item) for key, item in value.items()}
    return value


def has_result_placeholders(value: Any) -> bool:
    """Return whether decoded JSON has a placeholder for a result."""
    if isinstance(value, list):
        return any(map(has_result_placeholders, value))
    if isinstance(value, dict):
        return value.get(TAG) == RESULT_TAG or any(map(has_result_placeholders, _placeholder_scope(value).values()))
    return False


def _placeholder_scope(value: dict[str, Any]) -> dict[str, Any]:
    """Return the items of a JSON object that may be placeholders: of a tagged one, those of a dict only."""
    if TAG not in value:
        return value
    inner = value.get("value") if value[TAG] == "dict" else None
    return inner if isinstance(inner, dict) else {}


def fill_in_results(value: Any, results: Sequence[Callable[[], Any]]) -> Any:
    """Return decoded JSON with placeholders replaced by the values of ``results``, which are JSON too.

    Raises ResultNotPassedError for a number beyond them.
    """
    if isinstance(value, list):
        return [fill_in_results(item, results) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get(TAG) != RESULT_TAG:
        parts = {key: fill_in_results(item, results) for key, item in _placeholder_scope(value).items()}
        return {**value, "value": parts} if value.get(TAG) == "dict" else {**value, **parts}
    number = value.get("of")
    if number is None:
        return [read() for read in results]
    if type(number) is int and 0 <= number < len(results):
        return results[number]()
    raise ResultNotPassedError(f"the result of predecessor {number!r} is needed; the job has {len(results)} of them")


def replace_results(value: Any, text: str) -> Any:
    """Return decoded JSON with ``text`` in place of each placeholder of a result."""
    if isinstance(value, list):
        return [replace_results(item, text) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get(TAG) == RESULT_TAG:
        return text
    parts = {key: replace_results(item, text) for key, item in _placeholder_scope(value).items()}
    return {**value, "value": parts} if value.get(TAG) == "dict" else {**value, **parts}


def as_object(value: object, what: str) -> dict[str, Any]:
    """Return ``value`` if it is a dict, or raise SerializationError naming ``what``."""
    if isinstance(value, dict):
        return value
    raise SerializationError(f"{what}: expected a JSON object, got {type(value).__name__}")


def _encode_int(value: int) -> Any:
    return value if -_MAX_INT <= value <= _MAX_INT else _tagged("int", hex(value))


def _encode_text(value: str) -> Any:
    return value if _is_storable(value) else _tagged("text", value.encode("unicode_escape").decode("ascii"))


def _is_storable(text: str) -> bool:
    """Tell whether PostgreSQL's jsonb takes a text."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_key(key: str, what: str) -> str:
    """Return the key of a JSON object, or raise SerializationError if a database would refuse it."""
    if not _is_storable(key):
        raise SerializationError(f"{what}: keys of a dict must be valid text without NUL, got {key!r}")
    return key


def _encode_dict(value: dict[Any, Any], what: str, depth: int) -> Any:
    for key in value:
        if type(key) is not str:
            return _encode_dict(_with_plain_keys(value, what), what, depth)
        if not key.isascii() or "\0" in key:
            check_key(key, what)
    tagged = TAG in value
    levels = 2 if tagged else 1
    encoded = {key: encode(item, what=f"{what}[{key!r}]", depth=depth + levels) for key, item in value.items()}
    return _tagged("dict", encoded) if tagged else encoded


def _with_plain_keys(value: dict[Any, Any], what: str) -> dict[str, Any]:
    plain = {plain_text(key, what): item for key, item in value.items()}
    if len(plain) != len(value):
        raise SerializationError(f"{what}: two keys of the dict are the same text, and one value would be lost")
    return plain


def _encode_other(value: object, what: str, depth: int) -> Any:
    plain = plain_value(value, what)
    if plain is not value:
        return encode(plain, what=what, depth=depth)
    if isinstance(value, Model):
        return _encode_model(value, what)
    if isinstance(value, ResultPlaceholder):
        return {TAG: RESULT_TAG, "of": value.of}
    raise SerializationError(
        f"{what}: expected a JSON value, a datetime, date, time, timedelta, UUID, Decimal, bytes or a"
        f" saved model instance; got {type(value).__module__}.{type(value).__qualname__}"
    )


def _encode_float(value: float, what: str) -> Any:
    if not math.isfinite(value):
        raise SerializationError(f"{what}: JSON cannot carry {value}")
    text = repr(value)
    return _tagged("float", text) if "e" in text or value == 0 else value


def _encode_moment(tag: str) -> Callable[[Any, str], Any]:
    def encode_moment(value: datetime | time, what: str) -> Any:
        try:
            text = value.isoformat()
        except Exception as error:
            raise SerializationError(f"{what}: time zone {value.tzinfo!r} cannot be read: {error}") from error
        if text[-16:-15] in {"+", "-"} and text[-7] == ".":  # Python reads +00:00:00.000001 as UTC
            raise SerializationError(f"{what}: the offset of {text} has a fraction of a second")
        if value.tzinfo is not None and value.utcoffset() is None:
            raise SerializationError(
                f"{what}: its time zone {value.tzinfo!r} has no offset for {text} and would be lost; pass a naive"
                " value and the zone's name"
            )
        fold = value.fold if value.tzinfo is None else 0  # an offset says which of two instants is meant
        return {**_tagged(tag, text), "fold": 1} if fold else _tagged(tag, text)

    return encode_moment


def _encode_model(value: Model, what: str) -> Any:
    if value.pk is None or value._state.adding:
        raise SerializationError(
            f"{what}: {value._meta.label} instance is not saved yet; save it before it is enqueued"
        )
    return {
        TAG: "model",
        "model": value._meta.label_lower,
        "pk": encode(value.pk, what=what),
        "using": value._state.db,
    }


def _tagged(tag: str, value: Any) -> dict[str, Any]:
    return {TAG: tag, "value": value}


def _untag(value: dict[str, Any]) -> Any:
    tag = value[TAG]
    reader = _READERS.get(tag) if isinstance(tag, str) else None
    if reader is None:
        raise SerializationError(f"unknown tag {tag!r}; known are {', '.join(sorted(_READERS))}")
    try:
        return reader(value)
    except ResultNotPassedError:
        raise
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise SerializationError(f"a stored {tag} cannot be read: {error}") from error


def _refuse_result(value: dict[str, Any]) -> Any:
    raise ResultNotPassedError("the result of another job was not filled in: this job waited for none")


def _load_model(value: dict[str, Any]) -> Model:
    try:
        model = apps.get_model(value["model"])
        connections[value["using"]]
    except (LookupError, ConnectionDoesNotExist) as error:
        raise SerializationError(f"a stored model reference cannot be read: {error}") from error
    loaded: Model = model._base_manager.using(value["using"]).get(pk=decode(value["pk"]))
    return loaded


_WRITERS: dict[type, Callable[[Any, str], Any]] = {
    float: _encode_float,
    datetime: _encode_moment("datetime"),
    date: lambda value, _: _tagged("date", value.isoformat()),
    time: _encode_moment("time"),
    timedelta: lambda value, _: _tagged("timedelta", str(value // timedelta(microseconds=1))),
    UUID: lambda value, _: _tagged("uuid", str(value)),
    Decimal: lambda value, _: _tagged("decimal", str(value)),
    bytes: lambda value, _: _tagged("bytes", base64.b64encode(value).decode("ascii")),
}
"""How values of exactly these types are written; ``plain_value`` turns their subclasses into them."""

_READERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "datetime": lambda tagged: datetime.fromisoformat(tagged["value"]).replace(fold=tagged.get("fold", 0)),
    "date": lambda tagged: date.fromisoformat(tagged["value"]),
    "time": lambda tagged: time.fromisoformat(tagged["value"]).replace(fold=tagged.get("fold", 0)),
    "timedelta": lambda tagged: timedelta(microseconds=int(tagged["value"])),
    "uuid": lambda tagged: UUID(tagged["value"]),
    "decimal": lambda tagged: Decimal(tagged["value"]),
    "bytes": lambda tagged: base64.b64decode(tagged["value"], validate=True),
    "int": lambda tagged: int(tagged["value"], 16),
    "float": lambda tagged: float(tagged["value"]),
    "text": lambda tagged: tagged["value"].encode("ascii").decode("unicode_escape"),
    "dict": lambda tagged: {key: decode(item) for key, item in tagged["value"].items()},
    "model": _load_model,
    RESULT_TAG: _refuse_result,
}
