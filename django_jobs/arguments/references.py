"""References to rows in arguments that a person typed: only those whose model a job is meant to get may be loaded.

Otherwise whoever may copy a job or write a schedule could hand any row of the project to it, and ask which rows exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NewType, TypeVar, get_args, get_type_hints, is_typeddict

from django.apps import apps
from django.db import router
from django.db.models import Model

from ..exceptions import SerializationError
from .serialization import TAG


def check_references(typed: Any, *, annotations: Iterable[Any], original: Any = None) -> None:
    """Raise SerializationError if typed JSON refers to a row of a model that is expected nowhere.

    Expected are the models of ``annotations``, in the databases that the routers name for them, and whatever
    ``original``, the JSON of the copied job, refers to.
    """
    found = set(find_references(typed)) - set(find_references(original))
    if not found:
        return
    expected = {model for annotation in annotations for model in _models(annotation, set())}
    for label, using in sorted(found, key=str):
        if not _is_expected(label, using, expected):
            known = ", ".join(sorted(model._meta.label_lower for model in expected)) or "no model"
            raise SerializationError(
                f"a reference to a row of {label!r} in the database {using!r} may not be given here: expected {known},"
                " by the annotations of the job's function, or a model that the arguments had before"
            )


def find_references(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield model and database of each reference in JSON, as ``decode`` would meet them."""
    if isinstance(value, list):
        for item in value:
            yield from find_references(item)
    elif isinstance(value, dict):
        if value.get(TAG) == "dict" and isinstance(value.get("value"), dict):
            value = value["value"]
        elif value.get(TAG) == "model":
            yield _as_text(value.get("model")), _as_text(value.get("using"))
        for item in value.values():
            yield from find_references(item)


def _as_text(value: Any) -> str:
    return value.lower() if isinstance(value, str) else repr(value)


def _is_expected(label: str, using: str, expected: set[type[Model]]) -> bool:
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return False
    is_known = any(issubclass(model, kind) for kind in expected)
    return is_known and using in {router.db_for_read(model), router.db_for_write(model)}


def _models(annotation: Any, seen: set[int]) -> Iterator[type[Model]]:
    """Yield the models in an annotation, such as ``list[Customer] | None``; ``Model`` itself names none."""
    if id(annotation) in seen:  # an alias that names itself
        return
    seen.add(id(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Model):
        if annotation is not Model:
            yield annotation
        return
    parts: list[Any] = [*get_args(annotation)]
    if isinstance(annotation, TypeVar):
        parts += [annotation.__bound__, *annotation.__constraints__]
    elif isinstance(annotation, NewType):
        parts.append(annotation.__supertype__)
    elif is_typeddict(annotation):
        with suppress(NameError):
            parts += get_type_hints(annotation).values()
    elif hasattr(annotation, "__value__"):  # an alias made by the statement ``type``
        parts.append(annotation.__value__)
    for part in parts:
        yield from _models(part, seen)
