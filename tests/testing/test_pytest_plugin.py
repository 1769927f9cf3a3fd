"""The pytest plugin, in pytests of projects of their own: its fixtures, and what it costs those who do not use them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from tests.databases import ROOT

PLUGIN = "pytest_django_jobs"

SETTINGS = """
SECRET_KEY = "of the tests only"
INSTALLED_APPS = ["django_jobs"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
JOB = """
from django.db import transaction
from django_jobs import job

@job(name="own.double")
def double(number):
    return 2 * number
"""
WITH_DJANGO = """
import pytest
from jobs import double

def test_jobs(jobs):
    made = double.enqueue(4)
    assert jobs.assert_enqueued(double.s(number=4), count=1) == made
    assert jobs.drain().succeeded == 1

@pytest.mark.parametrize("number", range(3))
def test_rolled_back(jobs, number):
    jobs.assert_not_enqueued()
    double.enqueue(number)

def test_committed(jobs, transactional_db):
    from django.db import connection
    assert not connection.in_atomic_block
    jobs.assert_not_enqueued()
    double.enqueue(1)

def test_drained_jobs(drained_jobs):
    from django.db import transaction
    with drained_jobs() as drained:
        transaction.on_commit(lambda: double.enqueue(5))
    assert [job.result for job in drained.jobs] == [10]

def test_failure(jobs):
    double.enqueue(7)
    jobs.assert_enqueued(double.s(8))
"""
WITHOUT = """
import sys

def test_nothing_is_imported():
    loaded = {name.partition(".")[0] for name in sys.modules}
    assert "pytest_django_jobs" in loaded
    assert loaded.isdisjoint({"django", "django_jobs", "asgiref"})
"""


def run(folder: Path, *arguments: str, **files: str) -> str:
    """Run pytest on a project of these files and return its output, the exit code in its last line."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    own = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "PYTEST", "COV"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider", "-p", "no:randomly", *arguments],
        cwd=folder,
        env=own | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return f"{done.stdout}{done.stderr}\nexit code {done.returncode}"


def test_the_entry_point_is_a_module_of_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}
    assert f"{PLUGIN}.py" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert f"/{PLUGIN}.py" in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]


@pytest.mark.slow
def test_its_fixtures_work_with_pytest_django_and_xdist(tmp_path: Path) -> None:
    arguments = ("--ds=settings", "-n1", "-q", "-W", "error")
    output = run(tmp_path, *arguments, settings=SETTINGS, jobs=JOB, test_own=WITH_DJANGO)
    assert "1 failed, 6 passed" in output, output
    assert "test_own.py::test_failure - AssertionError: expected a job own.double(number=8), found none" in output
    assert "number: 7, expected 8" in output
    assert "django_jobs/testing/assertions.py" not in output, "the frames of an assertion are hidden"
    assert not (tmp_path / "file.sqlite3").exists()


def test_without_django_nothing_is_imported(tmp_path: Path) -> None:
    output = run(tmp_path, "-p", "no:django", "-q", test_own=WITHOUT)
    assert output.endswith("exit code 0"), output


def test_a_project_that_is_not_set_up_is_told_so(tmp_path: Path) -> None:
    output = run(tmp_path, "-p", "no:django", "-q", test_own="def test_it(jobs): ...")
    assert "the fixtures of django_jobs need Django to be set up: install pytest-django" in output, output
    assert output.endswith("exit code 1"), output
