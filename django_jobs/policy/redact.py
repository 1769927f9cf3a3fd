"""Mask secret values, and restore them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

MASK = "********"


def redact(value: Any, *, parts: Collection[str], names: Collection[str] = ()) -> Any:
    """Return JSON ``value`` with the values of secret keys masked, at any depth.

    A key is secret if it contains one of ``parts``, ignoring case, or is one of ``names``.
    """
    if isinstance(value, dict):
        return {
            key: MASK if _is_secret(key, parts, names) else redact(item, parts=parts, names=names)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [redact(item, parts=parts, names=names) for item in value]
    return value


def mask_all(value: Any) -> Any:
    """Return JSON ``value`` with every value masked; of an object the names at the top remain, if they are names."""
    if isinstance(value, dict):
        return {(key if key.isidentifier() else MASK): mask_all_of(item) for key, item in value.items()}
    return mask_all_of(value)


def mask_all_of(value: Any) -> Any:
    """Return a mask in place of anything but nothing."""
    return value if value is None or value in ([], {}) else MASK


def unmask(given: Any, *, original: Any, masked: Any) -> Any:
    """Return ``given`` with each unchanged mask replaced by the original value.

    ``masked`` is ``redact(original)``. Raises ValueError for a mask where the original has no secret.
    """
    if given == MASK and masked == MASK:
        return original
    if given == MASK:
        raise ValueError(f"{MASK} keeps a secret only if the original has one there; enter the value itself")
    if isinstance(given, dict):
        sources = (original, masked) if isinstance(original, dict) and isinstance(masked, dict) else ({}, {})
        return {
            key: unmask(item, original=sources[0].get(key), masked=sources[1].get(key)) for key, item in given.items()
        }
    if isinstance(given, list):
        pairs = zip(original, masked, strict=False) if isinstance(original, list) and isinstance(masked, list) else ()
        behind = [*pairs, *[(None, None)] * len(given)]
        return [unmask(item, original=source, masked=mask) for item, (source, mask) in zip(given, behind, strict=False)]
    return given


def _is_secret(key: str, parts: Collection[str], names: Collection[str]) -> bool:
    return key in names or any(part.lower() in key.lower() for part in parts)
