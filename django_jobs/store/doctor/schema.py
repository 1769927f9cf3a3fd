"""Compare the tables with the migrations and models."""

from __future__ import annotations

from itertools import chain

from django.apps import apps
from django.db.migrations.executor import MigrationExecutor

from ...policy.doctor import SchemaFacts
from ..dialects import open_dialect

PACKAGE = "django_jobs"
"""The package whose installed apps are checked: ``django_jobs`` and, if it is installed, ``django_jobs.web``."""


def read_schema(*, using: str | None = None) -> SchemaFacts:
    """Return what is missing. If migrations are not applied only they are returned: they explain the rest."""
    dialect, connection = open_dialect(using)
    executor = MigrationExecutor(connection)
    ours = {config.label: config for config in apps.get_app_configs() if config.name.split(".")[0] == PACKAGE}
    leaves = [node for node in executor.loader.graph.leaf_nodes() if node[0] in ours]
    unapplied = [
        f"{migration.app_label}.{migration.name}"
        for migration, _ in executor.migration_plan(leaves)
        if migration.app_label in ours
    ]
    if unapplied:
        return SchemaFacts(unapplied=unapplied)
    tables = []
    missing = []
    with connection.cursor() as cursor:
        for model in chain.from_iterable(config.get_models() for config in ours.values()):
            tables.append(model._meta.db_table)
            existing = connection.introspection.get_constraints(cursor, model._meta.db_table)
            wanted = [*model._meta.indexes, *model._meta.constraints]
            missing += [item.name for item in wanted if item.name not in existing]
    return SchemaFacts(missing=missing, invalid=dialect.server.read_invalid_indexes(connection, tables))
