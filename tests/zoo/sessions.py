"""Animals of the zoo that misbehave towards their database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

from django_jobs import JobDefinition, once
from tests.databases import chosen_vendor
from tests.sampleapp.models import Customer

from .animals import ANIMALS, animal

TABLE = Customer._meta.db_table
STRAY = f"INSERT INTO {TABLE} (name, visits) VALUES ('stray', 0)"
_others = len(ANIMALS)

STATEMENTS: dict[str, dict[str, Sequence[str]]] = {
    "postgresql": {
        "search_path": ["SET search_path TO pg_catalog"],
        "statement_timeout": ["SET statement_timeout = 1"],
        "read_only": ["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"],
        "role": ["SET ROLE pg_monitor"],
        "advisory_lock": ["SELECT pg_advisory_lock(7)"],
        "formats": ["SET bytea_output = 'escape'", "SET datestyle = 'German'", "SET standard_conforming_strings = off"],
        "time_zone_of_session": ["SET TIME ZONE 'Asia/Kathmandu'"],
        "held_cursor": [f"DECLARE held CURSOR WITH HOLD FOR SELECT * FROM {TABLE}"],
        "listen": ["LISTEN django_jobs_zoo"],
        "aborted": ["BEGIN", "SELECT 1 / 0"],
    },
    "mysql": {
        "user_lock": ["SELECT GET_LOCK('zoo', 0)"],
        "lock_tables": [f"LOCK TABLES {TABLE} READ"],
        "autocommit_off": ["SET autocommit = 0", STRAY],
        "sql_mode": ["SET SESSION sql_mode = 'ANSI_QUOTES'"],
        "read_only": ["SET SESSION TRANSACTION READ ONLY"],
        "names": ["SET NAMES latin1"],
        "time_zone_of_session": ["SET time_zone = '+05:45'"],
    },
    "sqlite": {
        "query_only": ["PRAGMA query_only = ON"],
        "foreign_keys": ["PRAGMA foreign_keys = OFF"],
        "savepoint": ["SAVEPOINT mine", STRAY],
    },
}
"""What a job sends, by the vendor that knows it."""
STATEMENTS_OF_ALL = {
    "begin": ["BEGIN", STRAY],
    "start_transaction": ["BEGIN" if chosen_vendor() == "sqlite" else "START TRANSACTION", STRAY],
    "shadow_table": [f"CREATE TEMPORARY TABLE {TABLE} (id integer, name varchar(100), visits integer)"],
}


def _execute(statements: Sequence[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _sends(name: str, statements: Sequence[str]) -> None:
    """Add a job that sends these statements, and one that fails behind them."""

    def succeeds() -> None:
        _execute(statements)

    def fails() -> None:
        _execute(statements)
        raise RuntimeError("behind the statements")

    def atomic() -> None:
        _execute(statements)

    for function, what in ((succeeds, ""), (fails, "_and_fail"), (atomic, "_atomic")):
        function.__name__ = function.__qualname__ = f"{name}{what}"
        animal(function, atomic=function is atomic)


for _name, _statements in {**STATEMENTS_OF_ALL, **STATEMENTS[chosen_vendor()]}.items():
    _sends(_name, _statements)


@animal
def open_atomic() -> None:
    transaction.atomic().__enter__()
    Customer.objects.create(name="stray")


@animal
def open_once() -> None:
    once("zoo", "never left").__enter__()
    Customer.objects.create(name="stray")


@animal
def django_autocommit_off() -> None:
    transaction.set_autocommit(False)
    Customer.objects.create(name="stray")


@animal
def needs_rollback() -> None:
    connection.needs_rollback = True


@animal
def closed_connection() -> None:
    connection.close()


@animal
def cut_connection() -> None:
    connection.ensure_connection()
    connection.connection.close()


@animal
def on_commit_hook() -> None:
    with transaction.atomic():
        transaction.on_commit(_raise)


@animal
def on_commit_hook_left() -> None:
    transaction.atomic().__enter__()
    transaction.on_commit(_raise)


@animal
def unread_iterator() -> None:
    next(Customer.objects.iterator(chunk_size=1))


def _raise() -> None:
    raise RuntimeError("in a hook")


def on_commit_hook_of_an_atomic_job() -> None:
    transaction.on_commit(_raise)


animal(on_commit_hook_of_an_atomic_job, atomic=True)

SESSION_ANIMALS: list[JobDefinition[[], Any]] = ANIMALS[_others:]
