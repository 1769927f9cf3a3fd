"""Fixtures: what was done, and a moved project that no other test gets to see."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from django_jobs import registry, schedules
from django_jobs.functions import discovery
from tests.moved import orders


@pytest.fixture(autouse=True)
def done() -> list[tuple[str, object]]:
    """The record of what was done, empty."""
    orders.done.clear()
    return orders.done


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Return a function that imports a project anew; its jobs and schedules are forgotten afterwards."""
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    monkeypatch.setattr(schedules, "_definitions", dict(schedules._definitions))
    monkeypatch.setattr(discovery, "undiscovered", dict(discovery.undiscovered))
    names: list[str] = []

    def load(name: str) -> ModuleType:
        names.append(f"tests.moved.{name}")
        return importlib.import_module(names[-1])

    yield load
    for name in names:
        del sys.modules[name]
