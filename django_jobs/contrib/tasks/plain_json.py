"""Values as JSON carries them: what ``normalize_json`` of the roots returns, with the keys and numbers of JSON.

Unlike there, keys become text, and what JSON has no form for (NaN, bytes that are no text) is a TypeError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...arguments.results import ResultOf
from ...arguments.serialization import ResultPlaceholder

_SCALARS = frozenset({str, int, bool, type(None)})
_CONSTANTS: Mapping[Any, str] = {True: "true", False: "false", None: "null"}
_STAND_INS = (ResultOf, ResultPlaceholder)


def as_json(value: Any) -> Any:
    """Return a value as JSON's own types. Raises TypeError for what JSON cannot carry."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is float:
        return _finite(value)
    if kind is dict:
        return {key if type(key) is str else _key(key): as_json(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [as_json(item) for item in value]
    return _other(value)


def as_json_arguments(value: Any) -> Any:
    """Do what ``as_json`` does, for arguments: a stand-in for another job's result stays one."""
    if isinstance(value, _STAND_INS):
        return value
    if type(value) is dict:
        return {key if type(key) is str else _key(key): as_json_arguments(item) for key, item in value.items()}
    if type(value) is list or type(value) is tuple:
        return [as_json_arguments(item) for item in value]
    return as_json(value)


def _other(value: Any) -> Any:
    match value:
        case Mapping():
            return {_key(key): as_json(item) for key, item in value.items()}
        case bytes():
            return _text(value)
        case str():
            return str.__str__(value)
        case int():
            return int(value)
        case float():
            return _finite(float(value))
        case Sequence():
            return [as_json(item) for item in value]
        case _:
            raise TypeError(f"Unsupported type: {type(value)}")


def _key(key: Any) -> str:
    """Return the key of an object as ``json.dumps`` writes it."""
    plain = as_json(key)
    if isinstance(plain, bool) or plain is None:
        return _CONSTANTS[plain]
    if isinstance(plain, str):
        return plain
    if isinstance(plain, int | float):
        return repr(plain)
    raise TypeError(f"Unsupported type of a key: {type(key)}")


def _finite(value: float) -> float:
    if math.isfinite(value):
        return value
    raise TypeError(f"Unsupported value: JSON cannot carry {value}")


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise TypeError(f"Unsupported value: {type(value)} that is not text in UTF-8") from None
