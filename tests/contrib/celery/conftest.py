"""Fixtures: the sample project with its imports changed, and tasks that are forgotten after each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from django_jobs import registry, schedules
from django_jobs.contrib.celery import Celery, catalog, current_app
from django_jobs.functions import discovery
from tests.contrib.celery.imports import write_changed


@pytest.fixture(autouse=True)
def _fresh_tasks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the tasks, jobs and schedules that a test defines, and its apps."""
    for module in (registry, schedules):
        monkeypatch.setattr(module, "_definitions", dict(module._definitions))
    monkeypatch.setattr(catalog, "_tasks", dict(catalog._tasks))
    monkeypatch.setattr(discovery, "undiscovered", dict(discovery.undiscovered))
    before = dict(vars(current_app))
    vars(current_app).clear()
    yield
    vars(current_app).clear()
    vars(current_app).update(before)


@pytest.fixture
def app() -> Celery:
    """An app without settings."""
    return Celery("test")


@pytest.fixture
def bakery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The calls of the sample project, whose imports are changed and nothing else."""
    write_changed(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    cases = import_module("bakery.cases")
    cases.app.finalize()  # as ready() does in a process of the project
    yield cases
    for name in [name for name in sys.modules if name.partition(".")[0] == "bakery"]:
        del sys.modules[name]
