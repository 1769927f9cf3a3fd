"""Find Tasks where jobs are looked for: by the name of a stored job, and by the Task itself."""

from __future__ import annotations

import logging
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from django.apps import apps

from ... import registry
from ...definition import JobDefinition
from ...observers import finders
from ...policy.job_ids import JobId
from .alias import backend_of, is_trusted
from .definition import TaskJob, job_for, or_invalid
from .ids import find_job_id
from .roots import InvalidTask, root_of

logger = logging.getLogger("django_jobs.tasks")


def as_job(task: Any) -> JobDefinition[..., Any]:
    """Return the job that a Task stands for, with the values that ``using`` gave it: ``as_job(task).s(7)``.

    Raises InvalidTask for a Task of another backend.
    """
    job = SOURCE.definition_of(task)
    if job is None:
        raise InvalidTask(f"expected a Task of a backend of django_jobs, got {task!r}")
    return job


class TaskSource:
    """Finds Tasks by their paths: only in modules of installed apps, or of OPTIONS["MODULES"]."""

    def __init__(self) -> None:
        self._reported: set[str] = set()

    def find_job_id(self, given: str, /) -> JobId | None:
        """Return the id of the job that the id of a result carries."""
        return find_job_id(given)

    def find(self, name: str, /) -> registry.DefinedJob | None:
        """Import the module that a name names, and return the job of the Task there.

        Whatever the module raises is logged once: a worker that meets the name of such a Task goes on.
        """
        module_name, _, attribute = name.rpartition(".")
        if not apps.ready or not is_trusted(module_name):
            return None
        try:
            return _find_in(import_module(module_name), attribute, name)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            if name not in self._reported and not _is_absence(error, module_name):
                self._reported.add(name)
                logger.exception("%s could not be imported; no worker here can run %s", module_name, name)
            return None

    def definition_of(self, given: object, /) -> TaskJob | None:
        """Return the job of a Task of one of our aliases, with the values that ``using`` gave it; else None."""
        backend = None if root_of(given) is None else backend_of(given)
        if backend is None:
            return None
        return or_invalid(partial(job_for, given, backend)).of(given)


def _find_in(module: ModuleType, attribute: str, name: str) -> TaskJob | None:
    known = registry.find_registered(name)
    if isinstance(known, TaskJob):
        return known
    found = getattr(module, attribute, None)
    if root_of(found) is None or getattr(found, "module_path", None) != name:
        return None
    backend = backend_of(found, or_any=True)
    return None if backend is None else job_for(found, backend)


def _is_absence(error: BaseException, module_name: str) -> bool:
    """Tell whether an import failed because there is no such module; not one that it imports itself."""
    return isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")


SOURCE = TaskSource()
registry.add_source(SOURCE)
finders.append(registry.find)
