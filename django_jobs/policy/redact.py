"""Redact: put a mask in the place of values that nobody is to read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

MASK = "********"


def redact(value: Any, *, parts: Collection[str], names: Collection[str] = ()) -> Any:
    """Return JSON ``value`` with the values of secret keys masked, at any depth.

    A key is secret if one of ``parts`` is in it, whatever the case, or if it is one of ``names``.
    """
    if isinstance(value, dict):
        return {
            key: MASK if _is_secret(key, parts, names) else redact(one, parts=parts, names=names)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [redact(one, parts=parts, names=names) for one in value]
    return value


def _is_secret(key: str, parts: Collection[str], names: Collection[str]) -> bool:
    return key in names or any(part.lower() in key.lower() for part in parts)
