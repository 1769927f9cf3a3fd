"""What a statement leaves in the session is judged by its text."""

import pytest

from django_jobs.policy.session_effects import SessionEffect, session_effect
from django_jobs.store.dialects.mysql.sessions import MySQLSessions
from django_jobs.store.dialects.postgresql.sessions import PostgreSQLSessions
from django_jobs.store.dialects.sqlite.sessions import SQLiteSessions

RULES = {
    "postgresql": PostgreSQLSessions.rules,
    "mysql": MySQLSessions.rules,
    "sqlite": SQLiteSessions.rules,
}
PLAIN = [
    "SELECT 1",
    "  (select 1) UNION (select 2)",
    "-- a comment\nUPDATE t SET a = 1",
    "/* set */ /* search_path */ INSERT INTO t VALUES (';', 1);",
    "WITH a AS (SELECT 1) DELETE FROM t",
    "SELECT string_agg(a, '; ') FROM t",
    'SELECT "asset_config", "target_lock", "template" FROM t',
    "SAVEPOINT s1",
    "ROLLBACK TO SAVEPOINT s1",
    "RELEASE SAVEPOINT s1",
    """INSERT INTO "t" (a) VALUES ('it''s; -- so'), ('#; $$')""",
    "/* it's */ INSERT INTO `t` VALUES ('; set a = 1')",
]
ANY, PG, MY, LITE = [*RULES], ["postgresql"], ["mysql"], ["sqlite"]
OTHERS = [
    (ANY, SessionEffect.SESSION, ["CREATE TEMP TABLE t (a int)", "CALL p()", "", "SELECT 1; SET a = 1", "set\ta = 1"]),
    (
        ANY,
        SessionEffect.SESSION,
        [
            "SELECT 1 -- it's\n; SET a = 1 -- 's", "SELECT 1 /* ' */; SET a = 1 /* ' */",
            "SELECT 1 # it's\n; SET a = 1 # '",
            """SELECT "it's"; SET a = 1; SELECT 'b'""", "SELECT $$it's$$; SET a = 1; SELECT 'b'",
            r"SELECT 'it\'s'; SET a = 1; SELECT 'b'", "SELECT `it's`; SET a = 1; SELECT 'b'", "SELECT 1;; SET a = 1;",
        ],
    ),
    (PG, SessionEffect.NONE, ["BEGIN", "SELECT pg_advisory_xact_lock(1)", "NOTIFY a", "COPY t FROM STDIN"]),
    (PG, SessionEffect.TRANSACTION, ["SET  LOCAL a = 1", "set constraints all deferred"]),
    (PG, SessionEffect.TRANSACTION, ["SELECT set_config('a', 'b', true)"]),
    (
        PG,
        SessionEffect.SESSION,
        [
            "SET a = 1", "RESET ALL", "SELECT pg_advisory_lock(1, 2)", "SELECT pg_try_advisory_lock (%s)",
            "SELECT set_config(%s, %s, %s)", "SELECT set_config('a', 'b', true), set_config('a', 'b', false)",
            "SELECT * INTO TEMPORARY t FROM a", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "DO $$ BEGIN END $$",
            """SELECT "pg_catalog"."set_config"('a', 'b', false)""",
            "SELECT set_config/* it */ -- is\n ('a', 'b', false)",
            "SELECT 1 INTO LOCAL TEMP t", "SELECT 1 INTO/**/TEMP t", "SELECT 1 INTO pg_temp.t", "LISTEN a",
            "PREPARE a AS SELECT 1",
            "EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", "COPY (SELECT pg_advisory_lock(1)) TO STDOUT",
            "WITH a AS (SELECT set_config('a', 'b', false)) SELECT * FROM a",
        ],
    ),
    (MY, SessionEffect.NONE, ["REPLACE INTO t VALUES (1)", "SELECT '@'", "DO SLEEP(0)", "SELECT 'a@b' FROM t"]),
    (
        MY,
        SessionEffect.SESSION,
        [
            "BEGIN", "START TRANSACTION", "SET LOCAL a = 1", "SET TRANSACTION READ ONLY", "DO GET_LOCK('a', 1)",
            "SELECT @a := 1", "SELECT a INTO @b FROM t", "LOCK TABLES t READ", "/*!50000 SET a = 1 */",
            "/*M! SET a = 1 */", "USE other",
            "SELECT `get_lock`('a', 1)", "SELECT get_lock/**/('a', 1)", "SELECT 1 INTO@b", "SELECT 1 INTO # it\n @b",
            "SELECT 1 /*!50000 INTO @b */", "# a comment\nSET a = 1",
        ],
    ),
    (LITE, SessionEffect.NONE, ["BEGIN IMMEDIATE", "REPLACE INTO t VALUES (1)"]),
    (LITE, SessionEffect.SESSION, ["PRAGMA foreign_keys = OFF", "ATTACH 'a' AS b", "SET LOCAL a = 1"]),
]  # fmt: skip


@pytest.mark.parametrize("vendor", RULES)
@pytest.mark.parametrize("statement", PLAIN)
def test_plain_statements_have_no_effect(vendor: str, statement: str) -> None:
    assert session_effect(statement, RULES[vendor]) is SessionEffect.NONE


@pytest.mark.parametrize(
    ("vendor", "statement", "effect"),
    [(vendor, text, effect) for vendors, effect, texts in OTHERS for vendor in vendors for text in texts],
)
def test_other_statements_are_known_by_their_first_word_or_a_call(
    vendor: str, statement: str, effect: SessionEffect
) -> None:
    assert session_effect(statement, RULES[vendor]) is effect
