"""``JobsBackend``: the setting TASKS names it, and Tasks become jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from ... import registry
from ...conf import get_settings
from ...definition import JobDefinition
from .alias import JobsAlias, check_params
from .definition import TaskJob, checked_after, checked_using, job_for, or_invalid, with_options
from .ids import find_job_id
from .old_ids import find_imported
from .results import copy_task
from .roots import BACKPORT, ROOTS, InvalidTask, TaskResultDoesNotExist, calling_root
from .source import as_job

__all__ = ["JobsBackend", "as_job", "with_options"]


class JobsBackend(JobsAlias, *(root.backend for root in ROOTS)):  # type: ignore[misc]  # they are known at run time
    """Makes Tasks jobs of this engine, which ``manage.py runworker`` runs.

    OPTIONS are options of ``@job`` for all Tasks of the alias, such as ``max_attempts``; ``TASKS``: options for single
    ones, by their paths; ``MODULES``: modules outside of installed apps in which workers may look for Tasks.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True
    autodiscovered_modules = ("tasks",)
    """Modules that every process imports from each installed app; see ``DjangoJobsConfig``."""

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        check_params(alias, params)
        super().__init__(alias, params)
        self.root = calling_root()
        self.task_class = self.root.job_task

    def validate_task(self, task: Any) -> None:
        """Raise InvalidTask if a Task cannot be a job; make it one."""
        is_delay = task.run_after is not None and not isinstance(task.run_after, datetime)
        try:
            super().validate_task(copy_task(task, run_after=None) if is_delay else task)
        except tuple(root.invalid_task for root in ROOTS) as error:
            raise InvalidTask(*error.args) from None
        checked_using(task, {"queue_name": task.queue_name, "run_after": task.run_after})
        or_invalid(partial(job_for, task, self))

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Insert a job in the caller's transaction and return its result.

        Raises TypeError for arguments that JSON cannot carry. Arguments that do not fit the function fail the Task.
        """
        self.validate_task(task)
        job = job_for(task, self)
        row = job.of(task).enqueue_as_given(args, kwargs)
        result = job.results.of_row(row)
        if not row.is_duplicate:
            signal = job.results.root.signals.task_enqueued
            signal.send_robust(sender=type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """Return the result with this id, from the database of its job: one or two statements.

        One statement a database for a UUID of another version than ours, which django-tasks-db may have made; none for
        what is not an id of this project. Raises TaskResultDoesNotExist.
        """
        from ...models import Job

        job_id = find_job_id(result_id) or find_imported(result_id)
        if job_id is None:
            raise TaskResultDoesNotExist(result_id)
        row = Job.objects.using(job_id.database or get_settings().database).filter(pk=job_id.number).first()
        job = None if row is None else registry.find(row.name)
        if row is None or not isinstance(job, TaskJob):
            raise TaskResultDoesNotExist(result_id)
        return job.results.of_row(row)

    def job_of(self, task: Any) -> JobDefinition[..., Any]:
        """Return the job that a Task stands for; see ``as_job``."""
        return as_job(task)

    def checked_using(self, task: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return options that ``using`` was given, checked. Raises InvalidTask."""
        return checked_using(task, given)

    def checked_after(self, task: Any, results: Sequence[Any], on_dead: str) -> Mapping[str, Any]:
        """Return what ``after`` was given, checked, as options of the enqueue. Raises InvalidTask."""
        return checked_after(task, results, on_dead)

    def check(self, **kwargs: Any) -> Iterable[CheckMessage]:
        """Check the setting: E101, E102, W101 and W102."""
        if not apps.is_installed("django_jobs"):
            yield Error(
                f"TASKS[{self.alias!r}] is a backend of django_jobs, which is not installed.",
                hint="Add 'django_jobs' to INSTALLED_APPS.",
                id="django_jobs.E101",
            )
        for problem in self.problems():
            yield Error(problem, hint="See docs/django-tasks.md.", id="django_jobs.E102")
        for sentence in self.unread_keys():
            yield Warning(sentence, hint="See docs/django-tasks.md.", id="django_jobs.W102")
        for path in self.task_paths():
            job = registry.find(path)
            if not isinstance(job, TaskJob) or job.task.backend != self.alias:
                yield Warning(
                    f"TASKS[{self.alias!r}]['OPTIONS']['TASKS'] has options for {path!r}, and no Task of this alias has"
                    " that path.",
                    hint="Give the dotted path of the function: its module and its name.",
                    id="django_jobs.W101",
                )


@register(Tags.compatibility)
def check_aliases(**_: Any) -> list[CheckMessage]:
    """Check our aliases where the backport is used without its app, whose check does that otherwise."""
    (root, *others) = ROOTS
    if root.name != BACKPORT or others or apps.is_installed(BACKPORT):
        return []
    backends = [backend for backend in root.handler.all() if isinstance(backend, JobsBackend)]
    return [message for backend in backends for message in backend.check()]
