"""The job that stands for a Task: registered under its ``module_path`` when the Task is built.

A Task that is built again for the same function, as ``using`` does, changes nothing; one that is built for a wrapper of
it, as a decorator of Tasks does, has the wrapper run for both. Options belong to the function:
those of the alias, then those of ``@task(...)`` or ``with_options``, then those that OPTIONS["TASKS"] has for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.apps import apps
from django.views.decorators.debug import sensitive_variables

from ... import registry
from ...conf.database import current_database
from ...definition import JobDefinition
from ...enqueueing import enqueue_bound
from ...exceptions import ArgumentsError, ConfigurationError, UnfinishedResultError
from ...functions.discovery import record_definition
from ...functions.origin import find_origin
from ...observers import observers
from ...options import (
    JobKeywords,
    ScheduleOptions,
    UsingOptions,
    check_name,
    check_predecessors,
    check_using,
    common_database,
    read_job_options,
)
from ...policy.backoff import Schedule
from ...schedules import define_schedule, origin_of
from .alias import SCHEDULE_OPTIONS, JobsAlias, backend_of, is_trusted
from .calls import DEFAULT_ALIAS, TaskCall, TaskSignature, as_moment
from .observer import TaskObserver
from .plain_json import as_json
from .results import NO_HISTORY, TaskResults, copy_task
from .roots import InvalidTask, root_of

if TYPE_CHECKING:
    from ...context import JobContext
    from ...models import Job
    from ...store.dialects.base.jobs import StartedRun

T = TypeVar("T")

_WAITS = ("waits_for", "waits_in", "on_dead")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TaskJob(JobDefinition[..., Any]):
    """The job of a Task. ``results`` makes its results; ``alias_options`` are the OPTIONS that it was defined under."""

    results: TaskResults
    alias_options: Mapping[str, Any]
    call: TaskCall = field(default_factory=TaskCall)
    by_positions: dict[tuple[str, ...], TaskJob] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        JobDefinition.__post_init__(self)
        takes_context = self.options.takes_context
        vars(self).update(signature=TaskSignature(self.function, name=self.name, takes_context=takes_context))

    @property
    def task(self) -> Any:
        """The Task as it was built first."""
        return self.results.task

    @property
    def context_needs_read(self) -> bool:
        """True if a run after the first reads the attempts before it, for its context or for a backoff of one's own."""
        backoff = self.options.backoff
        return self.options.takes_context or not (backoff is None or isinstance(backoff, Schedule))

    def context_argument(self, context: JobContext, run: StartedRun, /) -> Any:
        """Return the TaskContext. One statement for a run after the first."""
        claim, history = run.claim, NO_HISTORY
        if claim.claim_number > 1:
            using = current_database()
            history = self.results.history(claim.job_id, before=claim.claim_number, using=using)
        return self.results.root.job_context(task_result=self.results.at_start(run, history), job=context)

    def enqueue_as_given(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Job:
        """Insert one job, as the ``enqueue`` of a Task does: a call that does not fit the function fails when it runs.

        Raises TypeError for what JSON cannot carry.
        """
        bound, fits = cast("TaskSignature", self.signature).bind_as_given(args, kwargs)
        job = self.as_called(args) if fits else self._changed(options=replace(self.options, limits=(), unique=None))
        return enqueue_bound(job, [bound])[0]

    def enqueue(self, /, *args: Any, **kwargs: Any) -> Job:
        """Insert one job in the caller's transaction and return it; a call that does not fit is refused."""
        return enqueue_bound(self.as_called(args), [self.signature.bind(args, kwargs)])[0]

    def as_called(self, args: Sequence[Any]) -> TaskJob:
        """Return this job with the names of what is given by position in its metadata; one object for each of them."""
        positions = cast("TaskSignature", self.signature).positions(args)
        if not positions:
            return self
        if positions not in self.by_positions:
            self.by_positions[positions] = self.called(self.call._replace(positions=positions))
        return self.by_positions[positions]

    def of(self, task: Any) -> TaskJob:
        """Return this job as ``task``, another Task of the function, is to be enqueued."""
        given = dict(getattr(task, "enqueue_options", {}))
        waits = {name: given.pop(name) for name in _WAITS if name in given}
        if task.queue_name != self.options.queue_name:
            given["queue_name"] = task.queue_name
        if task.priority != self.options.priority:
            given["priority"] = int(task.priority)
        run_after = as_moment(task.run_after)
        if run_after is not None:
            given["run_after"] = run_after
        changed = self._changed(enqueue_options=given, **waits) if given or waits else self
        alias = None if task.backend == self.task.backend == DEFAULT_ALIAS else task.backend
        return changed.called(TaskCall(alias, (), run_after))

    def _changed(self, **changes: Any) -> TaskJob:
        return cast("TaskJob", super()._changed(by_positions={}, **changes))

    def called(self, call: TaskCall) -> TaskJob:
        """Return this job with how it is called in its metadata."""
        metadata = call.add_to(self.enqueue_options.get("metadata"))
        if metadata is None:
            return self
        return self._changed(call=call, enqueue_options={**self.enqueue_options, "metadata": metadata})


def job_for(task: Any, backend: JobsAlias) -> TaskJob:
    """Return the job of a Task's function; define and register it if there is none yet, or if its options changed.

    Raises ConfigurationError.
    """
    known = registry.find_registered(task.module_path)
    if isinstance(known, TaskJob) and _is_current(known, task, backend):
        return known
    return _define(task, backend)


def with_options(task: Any, /, **options: Any) -> Any:
    """Return a Task with options of ``@job`` for its function, where ``@task(...)`` takes none: on Django 6.0.

    ::

        @task
        def send(user_id): ...

        send = with_options(send, max_attempts=3, timeout=60)

    Raises InvalidTask naming the option.
    """
    root = root_of(task)
    if root is None or backend_of(task) is None:
        raise InvalidTask(f"with_options: expected a Task of a backend of django_jobs, got {task!r}")
    if isinstance(task, root.job_task):
        return replace(task, options={**task.options, **options})
    return root.job_task(options=options, **{known.name: getattr(task, known.name) for known in fields(task)})


def checked_using(task: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return options for one enqueue of a Task, checked. Raises InvalidTask."""
    return or_invalid(partial(check_using, task.module_path, cast("UsingOptions", given)))


def checked_after(task: Any, results: Sequence[Any], on_dead: str) -> Mapping[str, Any]:
    """Return what ``after`` was given, checked, as ``enqueue_options``. Raises InvalidTask."""
    ids, rule = or_invalid(partial(check_predecessors, task.module_path, results, on_dead))
    before, known = task.enqueue_options.get("waits_for", ()), task.enqueue_options.get("waits_in")
    database = or_invalid(partial(common_database, f"{task.module_path}.after(...)", results, known=known))
    return {"waits_for": tuple(dict.fromkeys((*before, *ids))), "waits_in": database, "on_dead": rule}


def or_invalid(step: Callable[[], T]) -> T:
    """Return what ``step`` returns; its ConfigurationError, or ArgumentsError of a schedule, is InvalidTask."""
    try:
        return step()
    except (ConfigurationError, ArgumentsError) as error:
        raise InvalidTask(str(error)) from error


def _is_current(known: TaskJob, task: Any, backend: JobsAlias) -> bool:
    built = (task.takes_context, root_of(task) or backend.root)
    if built != (known.task.takes_context, known.results.root) or not _wraps(known.task.func, task.func):
        return False
    given = getattr(task, "options", None)
    if given and given != getattr(known.task, "options", None):
        return False
    return known.task.backend != backend.alias or bool(known.alias_options == backend.options)


def _wraps(function: Any, inner: Any) -> bool:
    """Tell whether a function is another, or a wrapper of it that ``functools.wraps`` has marked."""
    while function is not None and function is not inner:
        function = getattr(function, "__wrapped__", None)
    return function is not None


def _define(task: Any, backend: JobsAlias) -> TaskJob:
    name, own = task.module_path, getattr(task, "options", {})
    check_name(name)
    given = backend.options_for(name, own)
    schedule = {option: given.pop(option) for option in SCHEDULE_OPTIONS if option in given}
    given |= {"queue_name": task.queue_name, "priority": int(task.priority)}
    options = read_job_options(f"Task {name}", cast("JobKeywords", given), takes_context=task.takes_context)
    as_built = copy_task(task, run_after=None, enqueue_options={})
    definition = TaskJob(
        function=sensitive_variables(*options.redact)(task.func) if options.redact else task.func,
        name=name,
        options=replace(options, discard_on=(*options.discard_on, UnfinishedResultError)),
        origin=find_origin(task.func),
        convert_result=as_json,
        results=TaskResults(root_of(task) or backend.root, as_built),
        alias_options=backend.options,
    )
    known = registry.find_registered(name)
    if isinstance(known, TaskJob) and _wraps(task.func, known.task.func):  # known.function may be one for ``redact``
        registry.redefine(definition)
    else:
        registry.register(definition)
    if not (apps.ready and is_trusted(task.func.__module__)):
        record_definition(name, definition.origin)
    observers[name] = TaskObserver(definition.results, sender=type(backend))
    if schedule:
        origin, timing = origin_of(task.func), cast("ScheduleOptions", schedule)
        define_schedule(name, definition, arguments={}, options=timing, origin=origin)
    return definition
