"""Fixtures: each test runs once for each installed package of Tasks, with a backend of ours under ``default``."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.test import override_settings

from django_jobs import registry, schedules
from django_jobs.contrib.tasks.roots import ROOTS, Root
from django_jobs.observers import observers
from tests.contrib.tasks.roots import samples

BACKEND = "django_jobs.contrib.tasks.JobsBackend"
OPTIONS = {"MODULES": ["tests.contrib.tasks"], "backoff": [0]}
TASKS: dict[str, Any] = {
    "default": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": OPTIONS},
    "slow": {"BACKEND": BACKEND, "QUEUES": ["default", "slow"], "OPTIONS": {}},
}


@pytest.fixture(params=[pytest.param(root, id=root.name) for root in ROOTS])
def root(request: pytest.FixtureRequest, _tasks_settings: None) -> Root:
    """Each root of Tasks that is installed."""
    found: Root = request.param
    return found


@pytest.fixture
def _tasks_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have Tasks run here; forget the jobs of Tasks and their observers afterwards."""
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    monkeypatch.setattr(schedules, "_definitions", dict(schedules._definitions))
    before = dict(observers)
    with override_settings(TASKS=TASKS):
        yield
    observers.clear()
    observers.update(before)


@pytest.fixture
def tasks(root: Root) -> ModuleType:
    """The sample Tasks of this root."""
    module = samples(root)
    module.seen.clear()
    return module
