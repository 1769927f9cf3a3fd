"""``python3 tests`` says what it will do before it begins, and shows failures as they come."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import announcement
from tests.announcement import remember
from tests.databases import OUTPUT, ROOT

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _file_of_durations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(announcement, "FILE", tmp_path / "seconds.json")
    monkeypatch.delenv("DJANGO_JOBS_TEST_NAME", raising=False)


def _lines(kind: str, *, is_parallel: bool = False, **reasons: str | None) -> list[str]:
    return list(announcement.announcement(reasons, kind=kind, is_parallel=is_parallel))


def test_each_database_is_named_with_what_is_created_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_JOBS_TEST_POSTGRESQL_HOST", "db.example")
    text = "\n".join(_lines("all", sqlite=None, postgresql=None, mysql="no server for root"))
    assert str(OUTPUT / "test_django_jobs.sqlite3") in text
    assert "creates and drops the database test_django_jobs at db.example:5432" in text
    assert "skipped: no server for root" in text


def test_the_time_is_that_of_the_last_runs() -> None:
    assert "(an estimate)" in _lines("all", sqlite=None, mysql=None)[-2]
    remember("all", {"sqlite": 600.0})
    remember("all", {"mysql": 300.2})
    assert "about 15 min (as the last run did)" in _lines("all", sqlite=None, mysql=None)[-2]
    assert "about 10 min" in _lines("all", sqlite=None, mysql=None, is_parallel=True)[-2]
    assert "about 1 min (an estimate)" in _lines("fast", sqlite=None)[-2]


@pytest.mark.slow
@pytest.mark.one_version
def test_a_failure_is_shown_before_the_next_test_begins(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("def test_first(): assert 1 == 2, 'one is not two'\ndef test_second(): pass")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    plain = ("-p", "no:django", "-p", "no:pytest_django_jobs", "-p", "no:randomly", "-p", "no:cacheprovider")
    result = pytester.runpytest_subprocess("-p", "tests.failures", *plain)
    result.stdout.fnmatch_lines(["FAILED *test_first (call)", "    *one is not two", "*.py .*", "*= FAILURES =*"])
