"""The examples of docs/testing.md: its tests are collected here as if they stood in this file."""

from __future__ import annotations

import re
import sys
import types
from typing import Any

import pytest

from django_jobs import schedules
from tests.databases import ROOT

PAGE = ROOT / "docs/testing.md"
SHOP, JOBS = types.ModuleType("shop"), types.ModuleType("shop.jobs")


SCHEDULES: dict[str, schedules.ScheduleDefinition] = {}
"""Those of the page, known while its tests run: other tests count theirs."""


def _tests() -> dict[str, Any]:
    """Return the test cases and test functions of the page by name; define its jobs."""
    jobs, *examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    tests: dict[str, Any] = {}
    before = dict(schedules._definitions)
    sys.modules |= {"shop": SHOP, "shop.jobs": JOBS}
    try:
        exec(compile(jobs, "shop/jobs.py", "exec"), JOBS.__dict__)
        for example in examples:
            names: dict[str, Any] = {"__name__": __name__}
            exec(compile(example, str(PAGE), "exec"), names)
            own = {name: value for name, value in names.items() if getattr(value, "__module__", "") == __name__}
            assert own, example
            assert own.keys().isdisjoint(tests), own
            tests |= own
    finally:
        del sys.modules["shop"], sys.modules["shop.jobs"]
        SCHEDULES.update(schedules._definitions)
        schedules._definitions = before
    return tests


@pytest.fixture(autouse=True)
def _schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "_definitions", SCHEDULES)


globals().update(_tests())
