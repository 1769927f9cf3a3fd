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


def unmask(given: Any, *, original: Any, masked: Any) -> Any:
    """Return ``given`` with each mask that was left as it stood replaced by what is behind it.

    ``masked`` is what ``redact`` made of ``original``. Raises ValueError for a mask with nothing behind it.
    """
    if given == MASK and masked == MASK:
        return original
    if given == MASK:
        raise ValueError(f"{MASK} stands for a secret only where the original has one; give the value itself")
    if isinstance(given, dict):
        sources = (original, masked) if isinstance(original, dict) and isinstance(masked, dict) else ({}, {})
        return {
            key: unmask(one, original=sources[0].get(key), masked=sources[1].get(key))
            for key, one in given.items()
        }
    if isinstance(given, list):
        pairs = (
            zip(original, masked, strict=False)
            if isinstance(original, list) and isinstance(masked, list)
            else ()
        )
        behind = [*pairs, *[(None, None)] * len(given)]
        return [
            unmask(one, original=source, masked=mask)
            for one, (source, mask) in zip(given, behind, strict=False)
        ]
    return given


def _is_secret(key: str, parts: Collection[str], names: Collection[str]) -> bool:
    return key in names or any(part.lower() in key.lower() for part in parts)
