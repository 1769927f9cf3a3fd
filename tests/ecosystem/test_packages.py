"""Packages that enqueue tasks, unchanged, on this package's backend: each suite in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import ROOT
from tests.ecosystem.sources import MAINTENANCE, MONITOR, TOOLBAR, Source, folder_of

ADAPTERS = ROOT / "tests" / "ecosystem" / "adapters"
SETTINGS = "tests.ecosystem.app.settings"

OWN_TESTS = {
    MAINTENANCE: (["tests"], 21),
    MONITOR: (["tests"], 16),
    TOOLBAR: (["tests/panels/test_tasks.py"], 5),
}
"""Source -> which of its tests are run, and how many pass."""


def run(folder: Path, *arguments: str, **environment: str) -> str:
    """Run Python in a process that has nothing of this one's Django; return its output. Fails unless its code is 0."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def python_path(*folders: Path) -> str:
    return os.pathsep.join([*map(str, folders), str(ROOT), os.environ.get("PYTHONPATH", "")])


@pytest.mark.parametrize("source", OWN_TESTS, ids=lambda source: source.name)
def test_own_tests_pass(source: Source) -> None:
    paths, number = OWN_TESTS[source]
    folder = folder_of(source)

    said = run(
        folder,
        *("-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(folder), "--ds", "on_django_jobs"),
        *("-p", "no:cacheprovider", "-p", "no:randomly", *paths),
        THEIR_SETTINGS="tests.settings",
        PYTHONPATH=python_path(folder, ADAPTERS),
    )

    assert f"{number} passed" in said, said


def test_small_uses_pass() -> None:
    said = run(
        ROOT,
        "-m",
        "django",
        "test",
        "tests.ecosystem.app.use",
        DJANGO_SETTINGS_MODULE=SETTINGS,
        PYTHONPATH=python_path(),
    )

    assert "Ran 4 tests" in said, said
