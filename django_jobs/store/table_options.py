"""The operation of the migration that tunes the tables for the way they are used, where the database can be told."""

from __future__ import annotations

from typing import Any

from django.db import router
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from .dialects import is_supported, open_dialect


class SetTableOptions(Operation):
    """Set the storage parameters of all tables. They end with the tables, so there is nothing to undo."""

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change no model."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Run the statements of the database's dialect, of which most have none."""
        connection = schema_editor.connection
        if router.allow_migrate(connection.alias, app_label) and is_supported(connection):
            dialect, _ = open_dialect(connection.alias)
            for statement in dialect.server.table_option_statements():
                schema_editor.execute(statement)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Do nothing."""

    def describe(self) -> str:
        """Return the line above the statements that ``sqlmigrate`` prints."""
        return "Set the storage parameters of the tables"
