"""The release of a process: the setting ``RELEASE``, whatever a project puts there."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from django.test import override_settings

from django_jobs.conf.release import current_release

HERE = __name__
asked: list[str] = []


def find_release() -> str:
    asked.append("once")
    return "4f2c1a"


def find_nothing() -> None:
    return None


def break_down() -> str:
    raise FileNotFoundError("no .git here")


def release_of(given: object) -> str:
    with override_settings(DJANGO_JOBS={"RELEASE": given}):
        return current_release()


@pytest.mark.parametrize("given", ["4f2c1a", "v1.2.3", "2026-11-30.2", find_release, f"{HERE}.find_release"])
def test_it_is_a_name_or_what_a_function_returns(given: object) -> None:
    assert release_of(given) == (given if isinstance(given, str) and HERE not in given else "4f2c1a")


@pytest.mark.parametrize("given", [None, "", find_nothing, lambda: ""])
def test_nothing_known_is_no_release_and_nothing_to_warn_of(given: object, caplog: pytest.LogCaptureFixture) -> None:
    assert release_of(given) == ""
    assert caplog.records == []


def test_the_function_is_called_once_in_a_process() -> None:
    asked.clear()
    with override_settings(DJANGO_JOBS={"RELEASE": find_release}):
        assert [current_release(), current_release()] == ["4f2c1a"] * 2
    assert asked == ["once"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (break_down, "DJANGO_JOBS['RELEASE']: break_down raised FileNotFoundError: no .git here; no release"),
        (f"{HERE}.break_down", f"DJANGO_JOBS['RELEASE']: {HERE}.break_down raised FileNotFoundError"),
        ("shop.releases.find", "expected the dotted path of a function, because 'shop.releases.find' looks like one"),
        (f"{HERE}.HERE", f"expected a function at {HERE}.HERE, got '{HERE}'; no release is reported"),
        (lambda: 5, "DJANGO_JOBS['RELEASE']: <lambda>(): expected the name of a release, 1 to 100 printable"),
        (lambda: "x" * 101, "or a function that returns it; got 'xxx"),
    ],
)
def test_a_function_that_fails_gets_one_clear_sentence(
    given: str | Callable[[], object], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), override_settings(DJANGO_JOBS={"RELEASE": given}):
        assert [current_release(), current_release()] == ["", ""]
    (record,) = caplog.records
    assert says in record.getMessage()
    assert (record.levelname, record.exc_info) == ("WARNING", None)
