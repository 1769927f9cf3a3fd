"""The way of one job through the files, taken from the stack while its statements are executed."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from django.db import connection, connections

from tests.architecture import PACKAGE, drawn_way
from tests.databases import ROOT
from tests.sampleapp import jobs as sample

MAX_FILES_TO_THE_INSERT = 5


@pytest.mark.django_db
def test_a_plain_enqueue_passes_at_most_five_files_to_its_insert_and_they_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed: list[str] = []

    def record(execute: Any, sql: str, *rest: Any) -> Any:
        if "INSERT INTO" in sql.upper() and not passed:
            passed.extend(_files_on_the_stack())
        return execute(sql, *rest)

    # Without those of django_jobs.testing.
    monkeypatch.setattr(connections[connection.alias], "execute_wrappers", [record])
    sample.echo.enqueue(7)

    vendor = connection.vendor
    assert passed == [file.replace("<vendor>", vendor) for file in drawn_way("enqueue")]
    assert len(passed) <= MAX_FILES_TO_THE_INSERT


def _files_on_the_stack() -> list[str]:
    """Return the package's files that are on the stack, the outermost first, each once."""
    files: dict[str, None] = {}
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(f"{ROOT / PACKAGE}/"):
            files[name.removeprefix(f"{ROOT / PACKAGE}/")] = None
        frame = frame.f_back
    return list(reversed(files))
