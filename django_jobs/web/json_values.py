"""Stored values as plain JSON for other languages: tagged types as text, no row loaded."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

from django.utils.duration import duration_iso_string

from ..arguments.serialization import TAG, decode

BITS_PER_DIGIT = 3.32
"""A little less than a digit has, so that no number is written in vain."""

_AS_TEXT = frozenset({"datetime", "date", "time", "uuid", "decimal", "bytes"})


def to_json_value(value: Any) -> Any:
    """Return stored JSON without tags.

    Datetimes, UUIDs, decimals and bytes (base64) are text, a timedelta is ISO 8601, a row
    ``{"model": ..., "pk": ...}``. A whole number that Python refuses to write, of about 4,300 digits, is hexadecimal
    text. Raises SerializationError if a tag cannot be decoded.
    """
    if isinstance(value, list):
        return [to_json_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if TAG not in value:
        return {key: to_json_value(item) for key, item in value.items()}
    tag = value[TAG]
    if tag == "dict" and isinstance(value.get("value"), dict):
        return {key: to_json_value(item) for key, item in value["value"].items()}
    if tag == "model":
        return {"model": value.get("model"), "pk": to_json_value(value.get("pk"))}
    decoded = decode(value)
    if tag in _AS_TEXT:
        return value["value"]
    if isinstance(decoded, int) and not _is_writable(decoded):
        return value["value"]
    return duration_iso_string(decoded) if isinstance(decoded, timedelta) else decoded


def _is_writable(number: int) -> bool:
    """Tell whether Python writes the number in decimal: the work grows with the square of its length."""
    max_digits = sys.get_int_max_str_digits()
    return max_digits == 0 or number.bit_length() < max_digits * BITS_PER_DIGIT
