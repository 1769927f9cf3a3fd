"""Enqueued jobs and differences as text for a failed assertion. The caller has masked the secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.db.models import Model

from ..arguments.serialization import RESULT_TAG, TAG, decode
from ..exceptions import SerializationError
from ..policy.redact import MASK
from ..policy.truncate import truncate
from .matching import MISSING, Difference, Path

MAX_VALUE_LENGTH = 300


def shown_call(name: str, arguments: Mapping[str, Any], *, has_more: bool = False) -> str:
    """Return ``name(first=1, second='b')``; ``has_more``: other arguments may follow."""
    shown = [f"{key}={shown_value(value)}" for key, value in arguments.items()]
    return f"{name}({', '.join([*shown, '...'] if has_more else shown)})"


def shown_differences(found: Iterable[Difference], *, actual: Any, expected: Any) -> Iterator[str]:
    """Yield a line for each difference, with the values that stand in ``actual`` and ``expected``, masked copies."""
    for difference in found:
        label = shown_path(difference.path)
        has, wants = _at(actual, difference.path), _at(expected, difference.path)
        if _is_mask(has) or _is_mask(wants):
            yield f"{label}: {MASK}, not the expected one"
        elif difference.expected is MISSING:
            yield f"{label}: {shown_value(has)}, not expected"
        elif difference.actual is MISSING:
            yield f"{label}: not there, expected {shown_value(wants)}"
        else:
            yield f"{label}: {shown_value(has)}, expected {shown_value(wants)}"


def shown_path(path: Path) -> str:
    """Return ``order['items'][2]``."""
    return str(path[0]) + "".join(f"[{step!r}]" for step in path[1:])


def shown_value(value: Any) -> str:
    """Return a value on one line, as Python writes it; rows by model and primary key, without reading them."""
    return truncate(_text(value), MAX_VALUE_LENGTH, around=" ")


def _text(value: Any) -> str:
    if _is_mask(value):
        return MASK
    if isinstance(value, Model):
        return f"<{value._meta.label_lower} {value.pk}>"
    if isinstance(value, dict):
        return _dict_text(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return repr(value)


def _dict_text(value: dict[str, Any]) -> str:
    tag = value.get(TAG)
    if tag == "model":
        return f"<{value.get('model')} {value.get('pk')}>"
    if tag == RESULT_TAG:
        return "RESULT"
    if tag is not None:
        try:
            return repr(decode(value))
        except SerializationError:
            return repr(value)
    return f"{{{', '.join(f'{key!r}: {_text(item)}' for key, item in value.items())}}}"


def _is_mask(value: Any) -> bool:
    return isinstance(value, str) and value == MASK


def _at(tree: Any, path: Path) -> Any:
    """Return what stands at a path; the mask if it stands on the way."""
    for step in path:
        if isinstance(tree, dict):
            tree = tree.get(step, MISSING)
        elif isinstance(tree, list) and isinstance(step, int):
            tree = tree[step] if step < len(tree) else MISSING
        else:
            return tree
    return tree
