"""Manager, fields and index type shared by the models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import models

from ..conf import get_settings

MAX_NOTE_LENGTH = 1_000
MAX_ACTOR_LENGTH = 150
"""Length of the user name stored with a staff action."""

M = TypeVar("M", bound=models.Model, covariant=True)
F = TypeVar("F", bound=Callable[..., Any])


def alters_data(method: F) -> F:
    """Mark a method as one that templates may not call."""
    method.alters_data = True  # type: ignore[attr-defined]  # read by Django
    return method


class JobsManager(models.Manager[M]):
    """Manager bound to the database of the setting ``DATABASE``, whatever routers say."""

    def get_queryset(self) -> models.QuerySet[M]:
        """Return a queryset on the jobs' database; ``using()`` still overrides it."""
        return super().get_queryset().using(self._db or get_settings().database)


class NameField(models.CharField):  # type: ignore[type-arg]  # generic for the type checker only
    """Case-sensitive name, also on MySQL and MariaDB: ``Mail`` is not ``mail``."""

    def db_parameters(self, connection: Any) -> dict[str, str | None]:
        """Return the column's type, with a binary collation on MySQL and MariaDB."""
        parameters: dict[str, str | None] = super().db_parameters(connection)
        if "BINARY" in connection.operators.get("contains", ""):  # Django's own sign of a collation without case
            parameters["collation"] = "utf8mb4_bin"
        return parameters


class StateIndex(models.Index):
    """Index of the rows in one state: partial if the database supports that.

    MySQL and MariaDB ignore an index's condition; there the index has ``fallback_fields`` instead.
    """

    def __init__(self, *, fields: list[str], state: str, fallback_fields: list[str], name: str) -> None:
        super().__init__(fields=fields, name=name)
        self.state = state
        self.fallback_fields = fallback_fields

    def deconstruct(self) -> tuple[str, Any, dict[str, Any]]:
        """Return the arguments that recreate this index in a migration."""
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "state": self.state, "fallback_fields": self.fallback_fields}

    def create_sql(self, model: type[models.Model], schema_editor: Any, using: str = "", **kwargs: Any) -> Any:
        """Return the CREATE INDEX statement for the schema editor's database."""
        if schema_editor.connection.features.supports_partial_indexes:
            index = models.Index(fields=self.fields, name=self.name, condition=models.Q(state=self.state))
        else:
            index = models.Index(fields=self.fallback_fields, name=self.name)
        return index.create_sql(model, schema_editor, using, **kwargs)
