"""Count the attempts of a range on PostgreSQL."""

from __future__ import annotations

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.rollup import AttemptCount
from ..base.stats import StatStatements


class PostgreSQLStats(StatStatements):
    """Count attempts without compiling the statement, which takes a third of its time and is done for every range."""

    def count_attempts(self, connection: BaseDatabaseWrapper, *, above: int, upto: int) -> list[AttemptCount]:
        """Count as the base class does, in a transaction of its own: four statements."""
        with transaction.atomic(using=connection.alias):
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL jit = off")
            return StatStatements.count_attempts(self, connection, above=above, upto=upto)
