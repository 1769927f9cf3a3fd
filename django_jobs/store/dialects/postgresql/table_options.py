"""Storage parameters of the tables on PostgreSQL: when autovacuum cleans each, and how full its pages are made.

The defaults wait for a fifth of a table to be dead. That is right for tables of people, and wrong here: of a table
of jobs only the newest thousandth changes, and of a table of counters all of it does every second.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db.backends.base.base import BaseDatabaseWrapper

from ..base.server import readable_rows

Options = Mapping[str, str]

JOBS: Options = {
    "autovacuum_vacuum_scale_factor": "0.01",
    "autovacuum_vacuum_threshold": "1000",
}
"""Each job leaves two dead rows: its claim and its finish change its state, which partial indexes depend on, so neither
is a HOT update, and their entries lie at the head of the index that claims read. With a month of finished jobs kept a
fifth of the table is days of dead entries; a hundredth is some hours. Not less: each vacuum reads all of the indexes.
No fillfactor: without HOT updates free space in the pages would only make the table larger. Permits, limits and groups
of dead letters are like that too: many rows, of which a few change all the time.
"""

PRUNED: Options = {
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_insert_scale_factor": "0.05",
}
"""Rows are inserted, hardly changed, and deleted by their age. A day of a month is three hundredths of the table: its
space is to be free for the next day, not after a week. Vacuums for inserts are smaller and come more often, so that
freezing is spread and index-only scans find pages that are known to be visible.
"""

COUNTERS: Options = {
    "fillfactor": "50",
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_threshold": "1000",
}
"""Few rows, all of them updated again and again in columns without an index. Half of each page is left free, so that
the new version fits beside the old: a HOT update, which adds nothing to indexes and is cleaned up by the next reader.
"""

BATCHES: Options = {**PRUNED, "fillfactor": "70"}
"""Both: deleted by their age, and counted up while they run."""

DUE_TIMES: Options = {
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_threshold": "1000",
}
"""Few rows, all of them updated again and again in a column with an index, so that there is no HOT update. A fixed
number of dead rows: a share of few rows is reached so often, or with the default threshold beside many, so seldom,
that it says nothing about the cost of the next read.
"""

QUEUES: Options = {
    **DUE_TIMES,
    "vacuum_truncate": "off",
}
"""Rows are inserted and soon deleted; often there are none. Each read begins at the dead ones. To give empty pages back
vacuum locks out everybody who enqueues, and the next insert makes these pages again.
"""

TABLE_OPTIONS: Mapping[str, Options] = {
    "django_jobs_job": JOBS,
    "django_jobs_deadlettergroup": JOBS,
    "django_jobs_limit": JOBS,
    "django_jobs_permit": JOBS,
    "django_jobs_attempt": PRUNED,
    "django_jobs_batchjob": PRUNED,
    "django_jobs_dependency": PRUNED,
    "django_jobs_enqueuekey": PRUNED,
    "django_jobs_expiry": PRUNED,
    "django_jobs_joblog": PRUNED,
    "django_jobs_oncerecord": PRUNED,
    "django_jobs_receivedid": PRUNED,
    "django_jobs_resultretention": PRUNED,
    "django_jobs_tick": PRUNED,
    "django_jobs_batch": BATCHES,
    "django_jobs_deadletterhour": COUNTERS,
    "django_jobs_messageconsumer": COUNTERS,
    "django_jobs_rollup": COUNTERS,
    "django_jobs_rollupposition": COUNTERS,
    "django_jobs_sourcepartition": COUNTERS,
    "django_jobs_typerollup": COUNTERS,
    "django_jobs_worker": COUNTERS,
    "django_jobs_cronschedule": DUE_TIMES,
    "django_jobs_batchcountdelta": QUEUES,
    "django_jobs_limitsignal": QUEUES,
}
"""Tables that are not named have few changes, or as many as the defaults are made for."""

OPTIONS_NOW = """
SELECT class.relname, array(SELECT option_name FROM pg_options_to_table(class.reloptions))
FROM pg_class AS class
WHERE class.relname = ANY(%s) AND class.relkind IN ('r', 'p') AND pg_table_is_visible(class.oid)
"""


def statements() -> list[str]:
    """Return the statements that give each table its options."""
    return [
        f"ALTER TABLE {table} SET ({', '.join(f'{name} = {value}' for name, value in options.items())})"
        for table, options in TABLE_OPTIONS.items()
    ]


def lost_options(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the tables that lack one of their options. Other values than ours are the administrator's own."""
    rows = readable_rows(connection, OPTIONS_NOW, [list(TABLE_OPTIONS)])
    return sorted(table for table, names in rows if set(TABLE_OPTIONS[table]) - set(names))
