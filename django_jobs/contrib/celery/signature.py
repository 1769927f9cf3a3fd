"""``Signature``: a task with arguments, to be enqueued later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NoReturn

from ...definition import JobCall
from ...workflows import Steps
from . import catalog
from .arguments import as_arguments
from .exceptions import NotRegistered, UnsupportedError
from .group_result import GroupResult
from .options import UNSUPPORTED
from .result import AsyncResult


class Canvas:
    """Base of all that can be enqueued: a signature, or several of them."""

    options: dict[str, Any]
    join: ClassVar[Callable[..., Any]]
    """The class of what ``|`` makes: ``canvas.chain``, which stands above."""

    def __or__(self, other: Any) -> Any:
        return self.join(self, other)

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue it, with arguments in front of those of its first tasks, and return the result."""
        return self.apply_async(args, kwargs)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Enqueue it and return the result; ``options`` as for ``Task.apply_async``."""
        node = self.prepared(*as_arguments(type(self).__name__, args, kwargs), options)
        if node.is_eager():
            return node.run_here(None, has_result=False, parent=None)
        if node.is_empty():
            return GroupResult(None, [])
        steps = node.steps()
        jobs = [steps.enqueue()] if isinstance(steps, JobCall) else steps.enqueue()
        return node.results(iter(jobs), None)

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run it here, one task after another, and return the result."""
        node = self.prepared(*as_arguments(type(self).__name__, args, kwargs), options)
        return node.run_here(None, has_result=False, parent=None)

    def prepared(self, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]) -> Canvas:
        """Return a copy with arguments for its first tasks, and options."""
        raise NotImplementedError

    def steps(self, *, waits: bool = False) -> JobCall | Steps:
        """Return the same as calls of jobs; ``waits``: behind others, whose end a countdown counts from."""
        raise NotImplementedError

    def results(self, jobs: Iterator[Any], parent: Any) -> Any:
        """Return the result of the jobs that ``steps`` were enqueued as, taken in their order."""
        raise NotImplementedError

    def is_empty(self) -> bool:
        """Tell whether it is a group without tasks."""
        return False

    def is_eager(self) -> bool:
        """Tell whether the settings want it run here."""
        raise NotImplementedError

    def run_here(self, value: Any, *, has_result: bool, parent: Any) -> Any:
        """Run it here, with the result of the step before if there is one, and return the result."""
        raise NotImplementedError

    def link(self, *ignored: Any) -> NoReturn:
        """Raise UnsupportedError."""
        raise UnsupportedError(f"link is not supported: {UNSUPPORTED['link']}")

    link_error = on_error = link

    def stamp(self, *ignored: Any, **_: Any) -> NoReturn:
        """Raise UnsupportedError."""
        raise UnsupportedError(f"stamp is not supported: {UNSUPPORTED['stamps']}")

    freeze = stamp


class Signature(Canvas):
    """A task with arguments. Immutable: each method returns another, but ``set``, which changes this one."""

    def __init__(
        self,
        task: Any,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        immutable: bool = False,
        **more: Any,
    ) -> None:
        self.type = None if isinstance(task, str) else task
        self.task: str = task if isinstance(task, str) else task.name
        self.args, self.kwargs = as_arguments(f"signature of {self.task}", args, kwargs)
        self.options: dict[str, Any] = {}
        self.immutable = immutable
        self.set(**{**(options or {}), **more})

    @property
    def name(self) -> str:
        """The name of the task."""
        return self.task

    def set(self, immutable: bool | None = None, **options: Any) -> Signature:
        """Set options of the enqueue, and return this signature. Raises UnsupportedError."""
        if immutable is not None:
            self.immutable = immutable
        refuse_unsupported(self.task, options)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Have the task given no result of the step before, or have it given again."""
        self.immutable = immutable

    def clone(self, args: Sequence[Any] | None = None, kwargs: Any = None, **options: Any) -> Signature:
        """Return a copy with arguments in front, and options, unless it is immutable."""
        given, keywords = as_arguments(f"signature of {self.task}", args, kwargs)
        if self.immutable:
            given, keywords = (), {}
        return Signature(
            self.type or self.task,
            (*given, *self.args),
            {**self.kwargs, **keywords},
            {**self.options, **options},
            immutable=self.immutable,
        )

    partial = clone

    def prepared(self, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]) -> Signature:
        """Return a copy; options given here win."""
        return self.clone(args, kwargs, **options)

    def found(self) -> Any:
        """Return the task. Raises NotRegistered."""
        if self.type is None:
            self.type = catalog.find(self.task)
        if self.type is None:
            raise NotRegistered(f"no task is named {self.task!r}; send_task() enqueues a job of another code base")
        return self.type

    def steps(self, *, waits: bool = False) -> JobCall:
        """Return the call of the task's job."""
        job = self.found().job_with(self.options)
        if waits:
            job = job.waiting()
        return JobCall(definition=job, args=self.args, kwargs=self.kwargs, takes_result=not self.immutable)

    def results(self, jobs: Iterator[Any], parent: Any) -> AsyncResult:
        """Return the result of the next job."""
        return AsyncResult.of(next(jobs), parent=parent)

    def is_eager(self) -> bool:
        """Tell whether the settings want it run here."""
        return bool(self.found().conf.task_always_eager)

    def run_here(self, value: Any, *, has_result: bool, parent: Any) -> Any:
        """Run the task here and return its result."""
        given = (value,) if has_result and not self.immutable else ()
        result = self.found().apply((*given, *self.args), self.kwargs, **self.options)
        result.parent = parent
        return result

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the task here and now."""
        copy = self.clone(args, kwargs)
        return copy.found()(*copy.args, **copy.kwargs)

    def __invert__(self) -> Any:
        return self.apply_async().get()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signature) and _fields(self) == _fields(other)

    __hash__ = None  # type: ignore[assignment]  # as a dict, which it is in Celery

    def __repr__(self) -> str:
        """Leave the arguments out: they may be secret."""
        return f"<signature of {self.task}>"


def signature(task: Any, *args: Any, **options: Any) -> Any:
    """Return the call of a task, or of the task of a name, with arguments and options."""
    if isinstance(task, Canvas):
        return task
    if isinstance(task, Mapping):
        raise UnsupportedError("signature(dict) is not supported: pass the name of the task and its arguments")
    return Signature(task, *args, **options)


subtask = signature


def maybe_signature(given: Any, *ignored: Any, **_: Any) -> Any:
    """Return what a chain or a group takes. Raises UnsupportedError for anything but a signature."""
    if isinstance(given, Canvas) or given is None:
        return given
    raise UnsupportedError(f"expected a task with its arguments, task.s(...), got {given!r}")


def refuse_unsupported(label: str, options: Mapping[str, Any]) -> None:
    """Refuse options of an enqueue that are not there. Raises UnsupportedError."""
    for name, value in options.items():
        if name in UNSUPPORTED and value is not None:
            raise UnsupportedError(f"{label}: {name}= is not supported: {UNSUPPORTED[name]}")


def _fields(call: Signature) -> tuple[Any, ...]:
    return call.task, call.args, call.kwargs, call.options, call.immutable
