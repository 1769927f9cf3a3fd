"""Questions to a MySQL or MariaDB server: long transactions, engines without transactions, durability."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.doctor import LONG_TRANSACTION_SECONDS, ServerFacts, UnsafeSetting, VacuumBlocker
from ....policy.galera import GaleraFacts
from ..base.server import readable_rows

LONG_TRANSACTIONS = """
SELECT concat('connection ', trx_mysql_thread_id, ' (', lower(trx_state), ')'),
       timestampdiff(SECOND, trx_started, now()), left(coalesce(trx_query, ''), 200)
FROM information_schema.innodb_trx
WHERE trx_mysql_thread_id <> connection_id() AND trx_started <= now() - INTERVAL %s SECOND
ORDER BY trx_started LIMIT 5
"""
ENGINES = """
SELECT table_name, engine FROM information_schema.tables
WHERE table_schema = database() AND table_name LIKE 'django\\_jobs\\_%%' AND engine <> 'InnoDB'
"""
NARROW_COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = database() AND table_name LIKE 'django\\_jobs\\_%%' AND character_set_name <> 'utf8mb4' LIMIT 1
"""
HAS_INDEX = """
SELECT 1 FROM information_schema.statistics
WHERE table_schema = database() AND table_name = %s AND index_name = %s LIMIT 1
"""
GALERA = (
    "SHOW GLOBAL STATUS WHERE variable_name LIKE 'wsrep\\_%%'",
    "SHOW GLOBAL VARIABLES WHERE variable_name IN ('wsrep_on', 'auto_increment_increment', 'innodb_autoinc_lock_mode')",
)
FLUSH_AT_COMMIT = "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit"


class MySQLServer:
    """Questions to a MySQL or MariaDB server."""

    builds_indexes_online = False

    def read_facts(self, connection: BaseDatabaseWrapper, *, notify: bool) -> ServerFacts:
        """Read the catalogue and the settings."""
        blockers = readable_rows(connection, LONG_TRANSACTIONS, [LONG_TRANSACTION_SECONDS])
        unsafe = []
        if readable_rows(connection, ENGINES, []):
            unsafe.append(UnsafeSetting.NO_TRANSACTIONS)
        if not self.takes_all_text(connection):
            unsafe.append(UnsafeSetting.NARROW_TEXT)
        if readable_rows(connection, FLUSH_AT_COMMIT) == [(0,)]:
            unsafe.append(UnsafeSetting.NOT_DURABLE)
        return ServerFacts(
            vacuum_blockers=[
                VacuumBlocker(holder=holder, age_seconds=age, query=query) for holder, age, query in blockers
            ],
            unsafe_settings=unsafe,
            galera=GaleraFacts.read(dict(row for one in GALERA for row in readable_rows(connection, one, []))),
        )

    def unsafe_options(self, connection: BaseDatabaseWrapper) -> list[UnsafeSetting]:
        """Return none."""
        return []

    def takes_all_text(self, connection: BaseDatabaseWrapper) -> bool:
        """Look for a column that is not utf8mb4: older servers made utf8mb3 tables, which take no emoji."""
        return not readable_rows(connection, NARROW_COLUMNS, [])

    def read_invalid_indexes(self, connection: BaseDatabaseWrapper, tables: list[str]) -> list[str]:
        """Return none: an index is built whole or not at all."""
        return []

    def has_index(self, connection: BaseDatabaseWrapper, table: str, name: str) -> bool:
        """Ask the catalogue."""
        return bool(readable_rows(connection, HAS_INDEX, [table, name]))

    def has_argument_index(self, connection: BaseDatabaseWrapper) -> bool:
        """Return False: no index serves such a search."""
        return False

    def argument_index(self, name: str) -> None:
        """Return None."""

    def table_option_statements(self) -> list[str]:
        """Return none: space is freed by InnoDB's purge, which has no options of a table."""
        return []

    def read_lost_table_options(self, connection: BaseDatabaseWrapper) -> list[str]:
        """Return none."""
        return []
