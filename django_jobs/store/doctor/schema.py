"""Compare the tables with the migrations and models."""

from __future__ import annotations

from itertools import chain

from django.apps import apps

from ...policy.doctor import SchemaFacts
from ..dialects import open_dialect
from ..readiness import unapplied_migrations

PACKAGE = "django_jobs"
"""The package whose installed apps are checked: ``django_jobs`` and, if it is installed, ``django_jobs.web``."""


def read_schema(*, using: str | None = None) -> SchemaFacts:
    """Return what is missing. If migrations are not applied only they are returned: they explain the rest."""
    dialect, connection = open_dialect(using)
    ours = {config.label: config for config in apps.get_app_configs() if config.name.split(".")[0] == PACKAGE}
    unapplied = [name for label in ours for name in unapplied_migrations(label, using=using)]
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
    return SchemaFacts(
        missing=missing,
        invalid=dialect.server.read_invalid_indexes(connection, tables),
        untuned=dialect.server.read_lost_table_options(connection),
    )
