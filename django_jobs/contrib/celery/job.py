"""The job of a task, and where the engine finds it: a ``schedule`` or a ``Batch`` takes the task itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, cast

from django.views.decorators.debug import sensitive_variables

from ... import registry
from ...definition import JobDefinition
from ...enqueueing import enqueue_bound
from ...functions.discovery import record_definition
from ...functions.origin import Origin, find_origin
from ...options import JobKeywords, check_name, read_job_options
from ...policy.durations import as_timedelta
from ...policy.job_ids import JobId
from ...policy.metadata import CELERY
from ..tasks.ids import find_job_id
from .conf import Conf
from .exceptions import UnsupportedError
from .options import job_keywords
from .request import ARGS, WAIT
from .run import run_job

if TYPE_CHECKING:
    from ...models import Job

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_CONTEXT = inspect.Parameter("_django_jobs_context", inspect.Parameter.POSITIONAL_ONLY)
"""Under a name that no task has: many have a ``context`` for a template."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CeleryJob(JobDefinition[..., Any]):
    """The job of a task. Its rows tell how many arguments were given by position, if not all were."""

    task: Any
    by_number: dict[int, CeleryJob] = field(default_factory=dict)

    def enqueue(self, /, *args: Any, **kwargs: Any) -> Job:
        """Insert one job in the caller's transaction and return it."""
        bound = self.signature.bind(args, kwargs)
        job = self.as_called(args) if kwargs else self
        return enqueue_bound(job, [bound])[0]

    def as_called(self, args: Sequence[Any], /) -> CeleryJob:
        """Return this job with the number of positions in its metadata; one object for each number."""
        number = len(args)
        if number >= len(self.names):
            return self
        if number not in self.by_number:
            self.by_number[number] = self.keeping(ARGS, number)
        return self.by_number[number]

    def waiting(self) -> CeleryJob:
        """Return this job as a step behind others: its ``run_after`` counts from when they have succeeded."""
        given: dict[str, Any] = {**self.enqueue_options}
        wait = given.pop("run_after", None)
        if wait is None:
            return self
        kept = wait.isoformat() if isinstance(wait, datetime) else as_timedelta(wait).total_seconds()
        return self._changed(enqueue_options=given).keeping(WAIT, kept)

    def keeping(self, key: str, value: Any) -> CeleryJob:
        """Return this job with one more value in what is kept in its metadata."""
        metadata = self.enqueue_options.get("metadata") or {}
        kept = {**metadata.get(CELERY, {}), key: value}
        return self._changed(enqueue_options={**self.enqueue_options, "metadata": {**metadata, CELERY: kept}})

    @property
    def names(self) -> list[str]:
        """The parameters that can be given by position."""
        return [name for name, one in self.signature.parameters.items() if one.kind in _POSITIONAL]

    def _changed(self, **changes: Any) -> CeleryJob:
        return cast("CeleryJob", super()._changed(by_number={}, **changes))


def define_job(task: Any, conf: Conf | None) -> CeleryJob:
    """Define and register the job of a task; again, with the settings, in place of the one that it has.

    ``conf`` None: the settings cannot be read yet. Raises ConfigurationError.
    """
    before: CeleryJob | None = task.__dict__.get("job")
    check_name(task.name)
    _check_function(task)
    options = read_job_options(f"task {task.name}", cast("JobKeywords", job_keywords(task, conf)), takes_context=True)
    if options.redact and before is None:
        task.run = sensitive_variables(*options.redact)(task.run)
    definition = CeleryJob(
        function=_runner(task),
        name=task.name,
        options=options,
        origin=_origin(task) if before is None else before.origin,
        task=task,
    )
    if before is None:
        registry.register(definition)
        record_definition(task.name, definition.origin)
    else:
        registry.redefine(definition)
    return definition


def _runner(task: Any) -> Callable[..., Any]:
    """Return the function that workers call: the context, then the arguments of ``task.run``."""
    signature = inspect.signature(task.run)
    names = [name for name, one in signature.parameters.items() if one.kind in _POSITIONAL]
    run = partial(run_job, task, names)

    @sensitive_variables()
    def runner(context: Any, /, *args: Any, **kwargs: Any) -> Any:
        return run(context, list(args), kwargs)

    update_wrapper(runner, task.run)
    runner.__signature__ = signature.replace(parameters=[_CONTEXT, *signature.parameters.values()])  # type: ignore[attr-defined]  # inspect reads it
    return runner


def _origin(task: Any) -> Origin:
    return find_origin(getattr(task.run, "__func__", task.run))


def _check_function(task: Any) -> None:
    function = inspect.unwrap(task.run)
    if inspect.iscoroutinefunction(function):
        raise UnsupportedError(f"task {task.name}: expected a plain function, got async def; @job runs those")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UnsupportedError(
            f"task {task.name}: expected a function without yield: a call would only make a generator"
        )


class CelerySource:
    """Finds the job of a task where jobs are looked for."""

    def find(self, name: str, /) -> registry.DefinedJob | None:
        """Return None: tasks are registered when they are defined."""

    def definition_of(self, given: object, /) -> registry.DefinedJob | None:
        """Return the job of a task."""
        job = getattr(given, "__dict__", {}).get("job")  # a property would be called
        return job if isinstance(job, CeleryJob) else None

    def find_job_id(self, given: str, /) -> JobId | None:
        """Return the id of the job that the id of a task's result carries."""
        return find_job_id(given)


registry.add_source(CelerySource())
