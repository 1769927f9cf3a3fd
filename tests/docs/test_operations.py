"""The docs and the example projects know the public operations, and nothing of the private store."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from django_jobs import operations
from django_jobs.models.querysets import DeadLetterQuerySet, JobQuerySet, QueueQuerySet, WorkerQuerySet
from tests.databases import ROOT

API = (ROOT / "docs/reference/api.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROJECTS = sorted((ROOT / "testproject").rglob("*.py"))


@pytest.mark.parametrize("path", [*PAGES, *PROJECTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_is_sent_to_the_private_store(path: Path) -> None:
    assert re.findall(r"(?:django_jobs\.store\.|`store\.)[\w.]+", path.read_text()) == []


def test_every_operation_is_in_the_reference() -> None:
    functions = [name for name in operations.__all__ if inspect.isfunction(getattr(operations, name))]

    assert [name for name in functions if f"`{name}(" not in API] == []


@pytest.mark.parametrize("queryset", [JobQuerySet, DeadLetterQuerySet, QueueQuerySet, WorkerQuerySet])
def test_every_filter_and_operation_of_a_queryset_is_in_the_reference(queryset: type) -> None:
    assert [name for name in vars(queryset) if name[0] != "_" and f"`{name}(" not in API] == []
