"""The packages that define Tasks: ``django.tasks`` of Django 6 and ``django_tasks``, its backport.

They have the same classes twice. A project on Django 6 may have both, each with a handler of its own for the one
setting TASKS, since many libraries still import the backport.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import FrameType
from typing import Any

from .classes import context_class, result_class, task_class
from .logging_handlers import is_heard

DJANGO, BACKPORT = "django.tasks", "django_tasks"
_INVALID_TASK = {DJANGO: "InvalidTask", BACKPORT: "InvalidTaskError"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Root:
    """One of the two packages, by its classes; those whose names begin with ``job`` are ours, for its handler.

    ``handler``: the backends by alias. ``task``, ``backend``: the base classes.
    """

    name: str
    handler: Any
    signals: Any
    backend: type
    task: type
    status: Any
    error: Any
    invalid_task: type[Exception]
    does_not_exist: type[Exception]
    job_task: Any
    job_result: Any
    job_context: Any
    own_receivers: frozenset[int]

    def has_receivers(self, signal: Any) -> bool:
        """Tell whether anybody listens to a signal, besides the root itself, which logs."""
        return any(key[0] not in self.own_receivers for key, *_ in signal.receivers)

    def is_logging(self) -> bool:
        """Tell whether what the root logs of every Task, at INFO, goes anywhere."""
        return is_heard(self.signals.logger, logging.INFO)


def _load(name: str) -> Root:
    package, base, errors = (import_module(name + part) for part in ("", ".base", ".exceptions"))
    ours = import_module(f"{__package__}.{'on_django' if name == DJANGO else 'on_backport'}")
    classes = (task_class(base.Task), result_class(base.TaskResult), context_class(base.TaskContext))
    for made in classes:
        made.__module__, made.__qualname__ = ours.__name__, made.__name__
        setattr(ours, made.__name__, made)  # where pickle looks for them
    signals = import_module(f"{name}.signals")
    loggers = (signals.log_task_enqueued, signals.log_task_started, signals.log_task_finished)
    return Root(
        name=name,
        handler=package.task_backends,
        signals=signals,
        own_receivers=frozenset(map(id, loggers)),
        backend=import_module(f"{name}.backends.base").BaseTaskBackend,
        task=base.Task,
        status=base.TaskResultStatus,
        error=base.TaskError,
        invalid_task=getattr(errors, _INVALID_TASK[name]),
        does_not_exist=errors.TaskResultDoesNotExist,
        job_task=classes[0],
        job_result=classes[1],
        job_context=classes[2],
    )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


ROOTS: tuple[Root, ...] = tuple(_load(name) for name in (DJANGO, BACKPORT) if _is_installed(name))
"""Those that are installed; Django's own first."""

if not ROOTS:
    raise ImportError(
        "django_jobs.contrib.tasks needs Django 6.0 or later, or on Django 5.2 the package django-tasks: install the"
        ' extra "tasks", pip install "django-jobs-engine[tasks]"'
    )

InvalidTask: type[Exception] = type(
    "InvalidTask", tuple(root.invalid_task for root in ROOTS), {"__doc__": "A Task, or an option of it, is wrong."}
)
"""An ``InvalidTask`` of every root, so that whoever catches one of them catches ours."""
TaskResultDoesNotExist: type[Exception] = type(
    "TaskResultDoesNotExist", tuple(root.does_not_exist for root in ROOTS), {"__doc__": "No Task has this result id."}
)
"""A ``TaskResultDoesNotExist`` of every root."""
for _ours in (InvalidTask, TaskResultDoesNotExist):
    _ours.__module__ = __name__


def root_of(task: object) -> Root | None:
    """Return the root whose Task an object is; None for anything else."""
    return next((root for root in ROOTS if isinstance(task, root.task)), None)


def calling_root() -> Root:
    """Return the root whose handler makes a backend at this moment: both import the same class. Else the first one."""
    if len(ROOTS) > 1:
        for owner in _owners_of_calls(sys._getframe(1)):  # noqa: SLF001 - the documented way to one's callers
            for root in ROOTS:
                if owner is root.handler:
                    return root
    return ROOTS[0]


def _owners_of_calls(frame: FrameType | None) -> Iterator[Any]:
    while frame is not None:
        yield frame.f_locals.get("self")
        frame = frame.f_back
