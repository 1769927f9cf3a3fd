"""Search by argument: conditions that jobs carry a value, or a reference to a row, among their arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast

from ..models import Job
from ..serialization import TAG, encode
from .dialects.base import connection_of

Rows = QuerySet[Any]


def carrying(rows: Rows, name: str, value: Any, *, arguments: str = "arguments") -> Rows:
    """Return the rows whose argument ``name`` is ``value``, stands for it, or refers to the row of that key.

    ``arguments`` is the path to the column. Where the database can ask what JSON contains, that is asked,
    because an index (PostgreSQL's GIN) may serve it.
    """
    wanted = list(_shapes(value))
    if _connection(rows).features.supports_json_field_contains:
        either = Q()
        for shape in wanted:
            either |= Q(**{f"{arguments}__contains": {name: shape}})
        return rows.filter(either)
    at = KeyTransform(name, arguments)
    paths: dict[str, Any] = {"argument": at, "argument_value": KeyTransform("value", at)}
    paths |= {"argument_pk": KeyTransform("pk", at), "argument_tag": KeyTransform(TAG, at)}
    paths["argument_pk_value"] = KeyTransform("value", paths["argument_pk"])
    either = Q(argument=value)
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        either |= Q(argument_tag="model", argument_pk=value)
    if isinstance(value, str):
        either |= Q(argument_value=value) | Q(argument_tag="model", argument_pk_value=value)
    found: Rows = rows.alias(**paths).filter(either)
    return found


def _shapes(value: Any) -> Iterator[Any]:
    """Yield how a value may be stored: as it is, as the key of a row, or under a tag (a UUID, a date)."""
    yield value
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        yield {TAG: "model", "pk": value}
    if isinstance(value, str):
        yield {"value": value}
        yield {TAG: "model", "pk": {"value": value}}


def has_argument_index(rows: Rows) -> bool:
    """Tell whether PostgreSQL's optional GIN index of arguments is there. One or two statements of the catalogue."""
    connection = _connection(rows)
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        there = connection.introspection.get_constraints(cursor, Job._meta.db_table)
    return any(one.get("type") == "gin" and one["columns"] == ["arguments"] for one in there.values())


def possibly_referring(jobs: QuerySet[Job], target: Model) -> QuerySet[Job]:
    """Return jobs whose arguments, at any depth, have the name of the row's model and its key: a coarse sieve.

    How a database writes JSON differs (spaces, the order of keys), so ``refers_to`` decides.
    """
    needles = Q()
    for needle in _key_texts(target):
        needles |= Q(arguments_text__contains=needle)
    named = jobs.alias(arguments_text=Cast("arguments", TextField()))
    return named.filter(needles, arguments_text__contains=json.dumps(target._meta.label_lower))


def _key_texts(target: Model) -> list[str]:
    key = encode(target.pk, what="pk")
    if isinstance(key, dict):
        return [json.dumps(key["value"], ensure_ascii=False)]
    text = json.dumps(key, ensure_ascii=False)
    return [f'"pk": {text}', f'"pk":{text}']


def refers_to(value: Any, target: Model) -> bool:
    """Tell whether stored JSON has, at any depth, a reference to the row, in whatever database."""
    if isinstance(value, dict):
        if value.get(TAG) == "model" and value.get("model") == target._meta.label_lower:
            return bool(value.get("pk") == encode(target.pk, what="pk"))
        return any(refers_to(one, target) for one in value.values())
    return isinstance(value, list) and any(refers_to(one, target) for one in value)


def _connection(rows: Rows) -> BaseDatabaseWrapper:
    return connection_of(rows.db)
