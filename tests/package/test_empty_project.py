"""The wheel in an empty project: one line in INSTALLED_APPS, and a job runs; on Django 6 a Task of Django's, too."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import django
import pytest

from .empty_project import EmptyProject, run_a_job, run_a_task

TASKS = 'TASKS = {"default": {"BACKEND": "django_jobs.contrib.tasks.JobsBackend", "QUEUES": []}}'
VERSIONS = {"5.2": "3.11", "6.0": "3.12", "6.1": "3.13"}
"""Each Django, and the Python that it is tried on."""


def _settings(version: str) -> list[str]:
    return [TASKS] if version >= "6" else []


@pytest.mark.slow
@pytest.mark.every_version
def test_one_line_in_installed_apps_is_enough(wheel: Path, tmp_path: Path) -> None:
    """On the Python and the Django that the tests run on, whose packages it uses."""
    installed, folder = tmp_path / "installed", tmp_path / "project"
    folder.mkdir()
    shutil.unpack_archive(wheel, installed, "zip")
    version = django.__version__

    project = EmptyProject(Path(sys.executable), folder, path=str(installed), settings=_settings(version))

    run_a_job(project, installed_in=installed)
    if version >= "6":
        run_a_task(project)


@pytest.mark.release
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
def test_pip_installs_all_that_a_fresh_project_needs(version: str, wheel: Path, tmp_path: Path) -> None:
    python = _interpreter(VERSIONS[version])
    environment, folder = tmp_path / "venv", tmp_path / "project"
    folder.mkdir()
    subprocess.run([python, "-m", "venv", str(environment)], check=True)
    inside = environment / "bin" / "python"
    subprocess.run([inside, "-m", "pip", "install", "--quiet", str(wheel), f"django=={version}.*"], check=True)

    project = EmptyProject(inside, folder, settings=_settings(version))

    run_a_job(project, installed_in=environment)
    if version >= "6":
        run_a_task(project)


def _interpreter(version: str) -> str:
    """Return a Python of this version, or skip the test."""
    found = [shutil.which(f"python{version}"), *map(str, Path.home().glob(f".pyenv/versions/{version}*/bin/python"))]
    for candidate in filter(None, found):
        works = subprocess.run([candidate, "-c", "import ensurepip"], check=False, capture_output=True)
        if works.returncode == 0:
            return candidate
    pytest.skip(f"no Python {version} in PATH or ~/.pyenv/versions")
