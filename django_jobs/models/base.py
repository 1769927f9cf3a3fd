"""Manager, fields and index type shared by the models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import models

from ..conf import get_settings
from ..conf.database import current_database

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
    """Manager bound to the jobs' database, whatever routers say; of several, to the one that the code acts on.

    The rows that relate to another are in its database.
    """

    def get_queryset(self) -> models.QuerySet[M]:
        """Return a queryset on the jobs' database; ``using()`` still overrides it."""
        return super().get_queryset().using(self._db or self._alias_of_instance() or self._default_alias())

    def _alias_of_instance(self) -> str | None:
        """Return the database of the row whose related rows this manager gives, if jobs are in several."""
        instance = getattr(self, "instance", None)
        if not isinstance(instance, models.Model) or not get_settings().has_many_databases:
            return None
        return instance._state.db

    def _default_alias(self) -> str:
        return current_database()


class SchedulesManager(JobsManager[M]):
    """The same for schedules, which are in one database."""

    def _default_alias(self) -> str:
        return get_settings().database_of_schedules


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
