"""Count the attempts of a range on MySQL and MariaDB."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.rollup import AttemptCount
from ..base.stats import StatStatements

# MySQL cuts the text of a group after 1,024 characters if not told otherwise; a range of attempts has 50,000.
RAISE_LIMIT = "SET SESSION group_concat_max_len = greatest(@@SESSION.group_concat_max_len, 1000000)"


class MySQLStats(StatStatements):
    """Count attempts after raising the session's limit of a joined text."""

    def count_attempts(self, connection: BaseDatabaseWrapper, *, above: int, upto: int) -> list[AttemptCount]:
        """Count as the base class does; two statements."""
        with connection.cursor() as cursor:
            cursor.execute(RAISE_LIMIT)
        return StatStatements.count_attempts(self, connection, above=above, upto=upto)
