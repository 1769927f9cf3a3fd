from __future__ import annotations

import asyncio
import json

import pytest
from django.utils.module_loading import import_string

import django_jobs
from django_jobs.exceptions import JobTimeoutError
from django_jobs.policy.printable import escape_unstorable
from django_jobs.policy.truncate import truncate
from django_jobs.worker.execution.errors import describe_exception, is_project_file


def _raised(function: object) -> BaseException:
    try:
        function()  # type: ignore[operator]
    except BaseException as error:  # noqa: BLE001 - that is what it is for
        return error
    raise AssertionError("nothing was raised")


def _divide(number: int) -> float:
    return number / 0


def test_an_error_names_its_class_message_and_traceback() -> None:
    error = describe_exception(_raised(lambda: _divide(1)), job_name="sample")
    assert error.error_class == "builtins.ZeroDivisionError"
    assert error.message == "division by zero"
    assert error.traceback.startswith("Traceback (most recent call last):\n")
    assert "return number / 0" in error.traceback


@pytest.mark.parametrize(
    "kind", [KeyError, UnicodeError, asyncio.CancelledError, json.JSONDecodeError, JobTimeoutError]
)
def test_the_class_of_an_error_can_be_imported(kind: type[BaseException]) -> None:
    error = describe_exception(kind.__new__(kind), job_name="sample")
    assert import_string(error.error_class) is kind


def test_equal_errors_of_one_job_share_a_fingerprint() -> None:
    one = describe_exception(_raised(lambda: int("order 17")), job_name="sample")
    other = describe_exception(_raised(lambda: int("order 18")), job_name="sample")
    assert one.message != other.message
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != describe_exception(_raised(lambda: int("order 17")), job_name="another").fingerprint


def test_text_that_a_database_refuses_is_escaped() -> None:
    assert escape_unstorable("a\0b\ud800c\u00e9") == "a\\x00b\\ud800c\u00e9"


@pytest.mark.parametrize("length", [0, 99, 100])
def test_short_text_is_not_truncated(length: int) -> None:
    assert truncate("x" * length, 100) == "x" * length


def test_long_text_keeps_its_head_and_more_of_its_end() -> None:
    text = "".join(f"line {number}\n" for number in range(1_000))
    short = truncate(text, 500)
    assert len(short) == 500
    assert short.startswith("line 0\n")
    assert short.endswith("line 999\n")
    assert "characters left out" in short


def test_a_chain_with_a_broken_str_is_described() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise ValueError("no")

    def fail() -> None:
        try:
            raise Broken
        except Broken as error:
            raise RuntimeError("outer") from error

    error = describe_exception(_raised(fail), job_name="sample")
    assert error.message == "outer"
    assert "RuntimeError: outer" in error.traceback
    assert describe_exception(Broken(), job_name="sample").message == "(its __str__ raised ValueError)"


def test_files_of_the_engine_and_of_packages_are_not_the_projects() -> None:
    assert is_project_file(__file__)
    assert not is_project_file(django_jobs.__file__)
    assert not is_project_file(pytest.__file__)
