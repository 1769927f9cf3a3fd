"""An empty Django project, as ``startproject`` makes it, that uses an installed django_jobs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

JOBS = """
from django_jobs import job

@job
def greet(name: str) -> str:
    return f"Hello {name}"
"""
TASKS = """
from django.tasks import task

@task
def add(first: int, second: int) -> int:
    return first + second
"""
ENQUEUE_JOB = """
import django_jobs
from shop.jobs import greet
job = greet.enqueue("Ada")
print(django_jobs.__file__, job.pk, job.state, sep="|")
"""
READ_JOB = """
from django_jobs.models import Job
print(*[f"{job.state}: {job.result}" for job in Job.objects.order_by("pk")], sep="|")
"""


class EmptyProject:
    """A folder made by ``startproject`` and ``startapp``, with the interpreter ``python``."""

    def __init__(self, python: Path, folder: Path, *, path: str = "", settings: Sequence[str] = ()) -> None:
        self._python = python
        self._folder = folder
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTHON"))}
        self._environment: Mapping[str, str] = {**ours, "PYTHONPATH": path, "PYTHONWARNINGS": "error"}
        self._run("-m", "django", "startproject", "site_of_tests", str(folder))
        self.manage("startapp", "shop")
        (folder / "shop" / "jobs.py").write_text(JOBS)
        with (folder / "site_of_tests" / "settings.py").open("a") as file:
            file.writelines(f"{line}\n" for line in ['INSTALLED_APPS += ["django_jobs", "shop"]', *settings])

    def add(self, name: str, text: str) -> None:
        """Write a module of the app."""
        (self._folder / "shop" / name).write_text(text)

    def manage(self, *arguments: str) -> str:
        """Run ``manage.py`` and return what it printed; an exit code fails the test."""
        return self._run("manage.py", *arguments)

    def python(self, code: str) -> str:
        """Run code with the project set up, and return what it printed."""
        setup = "import django, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'site_of_tests.settings'; django.setup()\n"
        return self._run("-c", setup + code).strip()

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._python), *arguments],
            cwd=self._folder,
            env=self._environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout


def run_a_job(project: EmptyProject, *, installed_in: Path) -> None:
    """Migrate, enqueue, and run a worker until nothing is left; all by the package in ``installed_in``."""
    project.manage("migrate", "--verbosity", "0")
    file, pk, state = project.python(ENQUEUE_JOB).split("|")
    assert Path(file).is_relative_to(installed_in)
    assert state == "ready"
    assert "ready" in project.manage("runworker", "--burst")
    assert project.python(READ_JOB) == "succeeded: Hello Ada", pk


def run_a_task(project: EmptyProject) -> None:
    """Enqueue a Task of Django's, and run it by a worker."""
    project.add("tasks.py", TASKS)
    state = project.python("from shop.tasks import add\nprint(add.enqueue(2, 3).status)")
    assert state == "READY"
    project.manage("runworker", "--burst")
    assert project.python(READ_JOB).endswith("|succeeded: 5")
