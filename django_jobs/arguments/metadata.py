"""Metadata of jobs as JSON text: the values of arguments, without references to rows.

It is read where no statement may be made: in the event loop, before the job's function is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..exceptions import SerializationError
from .references import find_references
from .serialization import TAG, as_object, decode, dumps, read_json


def write_metadata(metadata: Mapping[str, Any], *, what: str) -> str:
    """Return metadata as JSON text. Raises SerializationError."""
    text = dumps(dict(metadata), what=what)
    if TAG in text:
        _refuse_references(read_json(text), what)
    return text


def read_metadata(text: str) -> dict[str, Any]:
    """Return the metadata that was written. Raises SerializationError if it is no JSON object."""
    if text == "{}":
        return {}
    stored = read_json(text)
    if TAG not in text:
        return as_object(stored, "metadata")
    _refuse_references(stored, "metadata")
    return as_object(decode(stored), "metadata")


def _refuse_references(stored: Any, what: str) -> None:
    for label, _ in find_references(stored):
        raise SerializationError(f"{what}: expected plain values, got a row of {label}; store its primary key")
