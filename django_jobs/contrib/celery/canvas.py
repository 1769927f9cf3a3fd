"""``group``, ``chain`` and ``chord``: calls that are enqueued as one graph of jobs.

All jobs of a chain or a chord are inserted at once, in the caller's transaction, and wait for one another. Of a task
that is dead, the steps after it wait until staff redrive it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, cast

from ...workflows import Steps
from ...workflows import chain as chain_of_jobs
from ...workflows import group as group_of_jobs
from .exceptions import UnsupportedError
from .group_result import GroupResult
from .signature import Canvas, Signature, maybe_signature, refuse_unsupported, signature, subtask

__all__ = [
    "Signature",
    "chain",
    "chord",
    "chunks",
    "group",
    "maybe_signature",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]

OF_FIRST_STEP = ("countdown", "eta", "expires")
"""Options of a chain or chord that are its first task's alone; the others are those of all its tasks."""


class _Several(Canvas):
    """Tasks side by side, or one after another."""

    tasks: list[Canvas]

    def __init__(self, *tasks: Any, **options: Any) -> None:
        if len(tasks) == 1 and not isinstance(tasks[0], Canvas) and isinstance(tasks[0], Iterable):
            tasks = tuple(tasks[0])
        self.tasks = [maybe_signature(task) for task in tasks]
        self.options: dict[str, Any] = {}
        self.set(**options)

    def set(self, **options: Any) -> Any:
        """Set options of the enqueue, and return this. Raises UnsupportedError."""
        refuse_unsupported(type(self).__name__, options)
        self.options.update(options)
        return self

    def is_empty(self) -> bool:
        """Tell whether it is a group without tasks."""
        return not self.tasks

    def is_eager(self) -> bool:
        """Tell whether the settings want it run here, by its first task."""
        return bool(self.tasks) and self.tasks[0].is_eager()

    def __len__(self) -> int:
        return len(self.tasks)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.tasks)}>"

    def _split(self, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the options of the first tasks, and of those after them."""
        given = {**self.options, **options}
        return given, {name: value for name, value in given.items() if name not in OF_FIRST_STEP}


class group(_Several):  # noqa: N801 - Celery's name
    """Tasks that run side by side; ``get()`` of the result returns a list."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Enqueue it."""
        return self.apply_async(args, **options)

    def __or__(self, other: Any) -> chain:
        return chord(self, other)

    def prepared(self, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]) -> group:
        """Return a copy whose tasks all have the arguments and options."""
        given, _ = self._split(options)
        return group(*(_with(task, args, kwargs, given) for task in self.tasks))

    def steps(self, *, waits: bool = False) -> Steps:
        """Return the calls."""
        return group_of_jobs(*(task.steps(waits=waits) for task in self.tasks))

    def results(self, jobs: Iterator[Any], parent: Any) -> GroupResult:
        """Return the results of the tasks."""
        return GroupResult(None, [task.results(jobs, parent) for task in self.tasks], parent=parent)

    def run_here(self, value: Any, *, has_result: bool, parent: Any) -> GroupResult:
        """Run the tasks here and return their results."""
        results = [task.run_here(value, has_result=has_result, parent=parent) for task in self.tasks]
        return GroupResult(None, results, parent=parent)

    def skew(self, *ignored: Any, **_: Any) -> NoReturn:
        """Raise UnsupportedError."""
        raise UnsupportedError("group.skew() is not supported: set(countdown=...) on each task, or a rate_limit")


class chain(_Several):  # noqa: N801 - Celery's name
    """Tasks that run one after another, each given the result of the one before as its first argument."""

    def __init__(self, *tasks: Any, **options: Any) -> None:
        super().__init__(*tasks, **options)
        steps: list[Canvas] = []
        for task in self.tasks:
            if isinstance(task, chain) and not task.options:
                steps += task.tasks
            else:
                steps.append(task)
        self.tasks = [_unrolled(task) for task in steps]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue it."""
        return self.apply_async(args, kwargs)

    def prepared(self, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]) -> chain:
        """Return a copy whose first task has the arguments."""
        if not self.tasks:
            raise UnsupportedError("chain: expected at least one task, got none")
        first, others = self._split(options)
        head = _with(self.tasks[0], args, kwargs, first)
        return _same_steps([head, *(_with(task, (), {}, others) for task in self.tasks[1:])])

    def steps(self, *, waits: bool = False) -> Steps:
        """Return the calls."""
        return chain_of_jobs(*(task.steps(waits=waits or number > 0) for number, task in enumerate(self.tasks)))

    def results(self, jobs: Iterator[Any], parent: Any) -> Any:
        """Return the result of the last task; ``parent`` leads to those before it."""
        for task in self.tasks:
            parent = task.results(jobs, parent)
        return parent

    def run_here(self, value: Any, *, has_result: bool, parent: Any) -> Any:
        """Run the tasks here and return the result of the last; raise the exception of one before it."""
        result = parent
        for number, task in enumerate(self.tasks):
            if number:
                value, has_result = result.get(disable_sync_subtasks=False), True
            result = task.run_here(value, has_result=has_result, parent=result)
        return result


Canvas.join = chain


class chord(chain):  # noqa: N801 - Celery's name
    """A group and a body, which is given the list of the group's results: ``chord(header, body)``."""

    def __init__(self, header: Any, body: Any = None, **options: Any) -> None:
        _Several.__init__(self, **options)
        head = header if isinstance(header, group) else group(header) if isinstance(header, Canvas) else group(*header)
        self.body = None if body is None else maybe_signature(body)
        self.tasks = [head] if self.body is None else [head, self.body]

    def __call__(self, body: Any = None, **options: Any) -> Any:
        """Enqueue it with this body."""
        return self.apply_async(body=body, **options)

    def apply_async(self, args: Any = None, kwargs: Any = None, body: Any = None, **options: Any) -> Any:
        """Enqueue it and return the result of the body."""
        return self._with_body(body).apply_async(args, kwargs, **options)

    def apply(self, args: Any = None, kwargs: Any = None, body: Any = None, **options: Any) -> Any:
        """Run it here and return the result of the body."""
        return self._with_body(body).apply(args, kwargs, **options)

    def _with_body(self, body: Any) -> Canvas:
        found = self.body if body is None else maybe_signature(body)
        if found is None:
            raise UnsupportedError("chord: expected a body: chord(header, body) or chord(header)(body)")
        header = cast("group", self.tasks[0])
        if not header.tasks:  # as in Celery: the body is given an empty list
            return cast("Canvas", found.prepared(([],), {}, dict(self.options)))
        steps = _same_steps([header, found])
        steps.options = dict(self.options)
        return steps


def _refuse_bulk(name: str, way: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise UnsupportedError(f"{name} is not supported: {way}")

    refuse.__name__ = name
    refuse.__doc__ = "Raise UnsupportedError."
    return refuse


_MANY = "task.job.enqueue_many(arguments) enqueues a job for each in one statement; a Batch tells when all have ended"
chunks = _refuse_bulk("chunks", _MANY)
xmap = _refuse_bulk("map", _MANY)
xstarmap = _refuse_bulk("starmap", _MANY)


def _unrolled(task: Canvas) -> Canvas:
    """Return the task of a group of one, as Celery does in a chain."""
    if isinstance(task, group) and len(task.tasks) == 1:
        only: Canvas = task.tasks[0]
        return only
    return task


def _same_steps(tasks: list[Canvas]) -> chain:
    steps = chain()
    steps.tasks = tasks
    return steps


def _with(task: Canvas, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]) -> Canvas:
    """Return a copy; options of its own win."""
    return task.prepared(args, kwargs, {name: value for name, value in options.items() if name not in task.options})
