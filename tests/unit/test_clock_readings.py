"""Statements read the database's clock by one text for each vendor, which tests may replace by an instant."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from django_jobs.store.dialects import Dialect, ServerClock
from django_jobs.store.dialects.mysql.dialect import MySQL
from django_jobs.store.dialects.postgresql.dialect import PostgreSQL
from django_jobs.store.dialects.sqlite.dialect import SQLite
from tests.databases import ROOT
from tests.sources import parse

DIALECTS = ROOT / "django_jobs/store/dialects"
VENDORS: dict[str, Dialect] = {"mysql": MySQL(), "postgresql": PostgreSQL(), "sqlite": SQLite()}
CLOCKS = re.compile(
    r"'now'|\b(?:current_timestamp|localtimestamp|current_date|current_time|unixepoch)\b"
    r"|\b(?:now|sysdate|curdate|getdate|utc_timestamp|statement_timestamp|transaction_timestamp|clock_timestamp)\(\d?\)",
    re.IGNORECASE,
)
"""Whatever a server calls its clock."""
FOR_MEASURES = {"clock_timestamp()", "SYSDATE(6)", "now()"}
"""Read twice in a statement, or to say how old a transaction is; nothing falls due by them."""


def _texts(path: Path) -> Iterator[str]:
    """Yield the strings of a module, docstrings left out, which are prose."""
    tree = parse(path)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def _readings(folder: str) -> set[str]:
    texts = [text for path in (DIALECTS / folder).glob("*.py") for text in _texts(path)]
    return {match.group() for text in texts for match in CLOCKS.finditer(text)} - FOR_MEASURES


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendors_statements_read_the_clock_by_one_text(vendor: str) -> None:
    assert _readings(vendor) == {VENDORS[vendor].clock.reading}


def test_shared_expressions_read_it_by_the_same_text() -> None:
    assert _readings("shared") == {dialect.clock.reading for dialect in VENDORS.values()}


@pytest.mark.parametrize("dialect", VENDORS.values(), ids=VENDORS)
def test_an_instant_may_stand_for_the_clock(dialect: Dialect) -> None:
    clock, paris = dialect.clock, timezone(timedelta(hours=1))
    instant = datetime(2031, 5, 6, 8, 8, 9, 1, tzinfo=paris)
    assert clock.is_read_by(clock.statement)
    assert clock.is_read_by(f"UPDATE django_jobs_job SET ready_at = {clock.reading}")
    assert not clock.is_read_by(f"UPDATE shop_order SET paid_at = {clock.reading}")
    assert not clock.is_read_by("UPDATE django_jobs_job SET ready_at = %s")
    replaced = clock.at(clock.statement, instant)
    assert clock.reading not in replaced
    assert "2031-05-06 07:08:09.000001" in replaced


def test_an_instant_is_rounded_up_to_what_the_clock_can_tell() -> None:
    clock = ServerClock(reading="", statement="", literal="", resolution=timedelta(milliseconds=1))
    instant = datetime(2031, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC)
    assert clock.round_up(instant) == instant
    assert clock.round_up(instant - timedelta.resolution) == instant
    assert clock.round_up(instant + timedelta.resolution) == instant + timedelta(milliseconds=1)
    assert PostgreSQL.clock.round_up(instant + timedelta.resolution) == instant + timedelta.resolution
