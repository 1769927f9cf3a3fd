"""No record about a job is without the job's fields."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import django_jobs
from django_jobs.log_records import record_fields
from tests.sources import parse

PACKAGE = Path(django_jobs.__file__).parent
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}
NAMES_A_JOB = ("job %s", "dead letter %s", "job_id", "claim.name")


def _calls_of_loggers() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {f"logger.{level}" for level in LEVELS}:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def test_every_record_that_names_a_job_has_its_fields() -> None:
    calls = dict(_calls_of_loggers())
    without = [place for place, call in calls.items() if "extra" not in {keyword.arg for keyword in call.keywords}]
    assert [place for place in without if any(name in ast.unparse(calls[place]) for name in NAMES_A_JOB)] == []
    assert len(calls) > 50, "they are found"


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "\u202e"])
def test_fields_have_no_control_characters(text: str) -> None:
    fields = record_fields(job_id=7, job_name=text, queue_name=text, attempt=1, request_id=text)
    assert all(str(value).isprintable() for value in fields.values())
    assert fields["job_id"] == 7
