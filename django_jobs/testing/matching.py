"""Compare expected values with stored JSON: plain values, model instances, results, and matchers such as ``mock.ANY``.

Containers are compared item by item, so that a matcher may stand anywhere in them and a difference has a path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model

from ..arguments.results import ResultOf
from ..arguments.serialization import RESULT_TAG, TAG, decode, encode
from ..exceptions import SerializationError

MISSING: Any = object()
"""Stands for a value that one of the two sides does not have."""

Path = tuple[str | int, ...]
"""Names and positions, from the arguments down to one value."""


class Difference(NamedTuple):
    """A place at which a job is not as expected: what it has there, and what was expected; ``MISSING``: nothing."""

    path: Path
    actual: Any
    expected: Any


def differences(expected: Any, actual: Any, *, path: Path = (), is_partial: bool = False) -> Iterator[Difference]:
    """Yield the places at which ``actual``, stored JSON or a default of the function, is not ``expected``.

    ``is_partial``: ``actual`` may have more keys at the top.
    """
    if isinstance(expected, Mapping) and isinstance(actual, Mapping) and TAG not in actual:
        names = expected if is_partial else {**expected, **actual}
        pairs = [(name, expected.get(name, MISSING), actual.get(name, MISSING)) for name in names]
    elif isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        pairs = [(at, _item(expected, at), _item(actual, at)) for at in range(max(len(expected), len(actual)))]
    else:
        if not _matches(expected, actual):
            yield Difference(path, actual, expected)
        return
    for step, wanted, found in pairs:
        if wanted is MISSING or found is MISSING:
            yield Difference((*path, step), found, wanted)
        else:
            yield from differences(wanted, found, path=(*path, step))


def _item(values: list[Any] | tuple[Any, ...], at: int) -> Any:
    return values[at] if at < len(values) else MISSING


def _matches(expected: Any, actual: Any) -> bool:
    """Compare as Python does, references to rows by model and primary key, without reading the row."""
    if expected is actual:
        return True
    tag = actual.get(TAG) if isinstance(actual, dict) else None
    if isinstance(expected, ResultOf):
        return tag == RESULT_TAG
    if isinstance(expected, Model) and tag == "model":
        return _is_row(expected, actual)
    return _encoded(expected) == actual or bool(expected == _decoded(actual))


def _is_row(expected: Model, reference: dict[str, Any]) -> bool:
    try:
        model = apps.get_model(reference["model"])
    except LookupError:
        return False
    same = model._meta.concrete_model is expected._meta.concrete_model
    return same and _encoded(expected.pk) == reference.get("pk")


def _encoded(value: Any) -> Any:
    """Return ``value`` as the enqueue would store it; a matcher, which JSON has no word for, equals nothing."""
    try:
        return encode(value, what="")
    except SerializationError:
        return MISSING


def _decoded(value: Any) -> Any:
    """Return the value that a job would be given; of a row that is gone, or of a result to come, what is stored."""
    try:
        return decode(value)
    except (ObjectDoesNotExist, SerializationError):
        return value
