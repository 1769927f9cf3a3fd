"""Search by argument: conditions for jobs with a value, or a reference to a row, among their arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast

from ...arguments.serialization import TAG, encode
from ...models import Job
from ..dialects import open_dialect

Jobs = QuerySet[Job]


def filter_by_argument(jobs: Jobs, name: str, value: Any) -> Jobs:
    """Return the jobs whose argument ``name`` is ``value``, in any stored form, or refers to the row with that key.

    If the database has a containment operator for JSON it is used, because an index (PostgreSQL's GIN) may serve it.
    """
    rows, condition = _carries(jobs, name, value)
    return rows.filter(condition)


def _carries(rows: Jobs, name: str, value: Any) -> tuple[Jobs, Q]:
    either = Q()
    _, connection = open_dialect(rows.db)
    if connection.features.supports_json_field_contains:
        for shape in _shapes(value):
            either |= Q(arguments__contains={name: shape})
        return rows, either
    at = KeyTransform(name, "arguments")
    key = KeyTransform("pk", at)
    rows = rows.alias(
        argument=at,
        argument_value=KeyTransform("value", at),
        argument_tag=KeyTransform(TAG, at),
        argument_pk=key,
        argument_pk_value=KeyTransform("value", key),
    )
    either = Q(argument=value)
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        either |= Q(argument_tag="model", argument_pk=value)
    if isinstance(value, str):
        either |= Q(argument_value=value) | Q(argument_tag="model", argument_pk_value=value)
    return rows, either


def _shapes(value: Any) -> Iterator[Any]:
    """Yield the forms in which a value may be stored: itself, the key of a row, or under a tag (a UUID, a date)."""
    yield value
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        yield {TAG: "model", "pk": value}
    if isinstance(value, str):
        yield {"value": value}
        yield {TAG: "model", "pk": {"value": value}}


def prefilter_by_object(jobs: Jobs, target: Model, *, argument: str | None) -> Jobs:
    """Return jobs whose arguments contain the name of the row's model and its key, or the key under a name.

    Databases write JSON differently (spaces, the order of keys), so ``references_object`` decides.
    """
    needles = Q()
    for needle in _key_texts(target):
        needles |= Q(arguments_text__contains=needle)
    rows: Jobs = jobs.alias(arguments_text=Cast("arguments", TextField()))
    condition = needles & Q(arguments_text__contains=json.dumps(target._meta.label_lower))
    if argument is not None:
        rows, carries = _carries(rows, argument, _plain_key(target))
        condition |= carries
    return rows.filter(condition)


def references_object(arguments: Any, target: Model, *, argument: str | None) -> bool:
    """Tell whether stored arguments contain a reference to the row at any depth, or its key under the given name."""
    if argument is not None and isinstance(arguments, dict):
        keys = (encode(target.pk, what="pk"), _plain_key(target), str(target.pk))
        if any(type(key) is not bool and key == arguments.get(argument) for key in keys):
            return True
    return _refers_to(arguments, target)


def _refers_to(value: Any, target: Model) -> bool:
    if isinstance(value, dict):
        if value.get(TAG) == "model" and value.get("model") == target._meta.label_lower:
            return bool(value.get("pk") == encode(target.pk, what="pk"))
        return any(_refers_to(item, target) for item in value.values())
    return isinstance(value, list) and any(_refers_to(item, target) for item in value)


def _plain_key(target: Model) -> Any:
    """Return the key in the form a search uses: a number or a text, whatever tag it is stored under."""
    return target.pk if isinstance(target.pk, int) else str(target.pk)


def _key_texts(target: Model) -> list[str]:
    key = encode(target.pk, what="pk")
    if isinstance(key, dict):
        return [json.dumps(key["value"], ensure_ascii=False)]
    text = json.dumps(key, ensure_ascii=False)
    return [f'"pk": {text}', f'"pk":{text}']
