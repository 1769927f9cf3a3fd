"""Our Task, TaskResult and TaskContext, made once for each root: they are subclasses of its own.

The bases are frozen dataclasses with slots, in which ``super()`` does not work; their methods are called by name. What
needs more than the object itself asks its backend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from ...conf import get_settings
from .ids import find_job_id, job_id_of

if TYPE_CHECKING:
    from ...context import JobContext
    from ...definition import JobCall


def task_class(base: Any) -> Any:
    """Return the subclass of a root's Task that takes the options of ``@job``."""

    @dataclass(frozen=True, slots=True, kw_only=True, init=False)
    class JobTask(base):  # type: ignore[misc]  # the class is known at run time
        """A Task with options of ``@job``: ``@task(max_attempts=3, timeout=60)``, or by ``with_options``.

        ``options`` belong to the function, ``enqueue_options`` to this object: they are given to ``using``.
        """

        options: Mapping[str, Any] = field(default_factory=dict, hash=False)
        enqueue_options: Mapping[str, Any] = field(default_factory=dict, hash=False)

        def __init__(self, *, options: Mapping[str, Any] | None = None, **given: Any) -> None:
            values: dict[str, Any] = {"enqueue_options": given.pop("enqueue_options", {})}
            for known in fields(base):
                values[known.name] = given.pop(known.name, known.default)
                if values[known.name] is MISSING:
                    raise TypeError(f"JobTask: missing keyword argument {known.name!r}")
            for name, value in {**values, "options": {**(options or {}), **given}}.items():
                object.__setattr__(self, name, value)
            base.__post_init__(self)

        def using(
            self,
            *,
            priority: int | None = None,
            queue_name: str | None = None,
            run_after: datetime | timedelta | None = None,
            backend: str | None = None,
            **more: Any,
        ) -> JobTask:
            """Return this Task with other values for its enqueue.

            ``run_after`` may be a timedelta, counted from the enqueue. ``more``: what ``using`` of a ``@job`` takes
            besides, such as ``metadata`` and ``idempotency_key``. Raises InvalidTask.
            """
            given = {"priority": priority, "queue_name": queue_name, "run_after": run_after, "backend": backend}
            changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
            if more:
                checked = self.get_backend().checked_using(self, more)
                changes["enqueue_options"] = {**self.enqueue_options, **checked}
            return replace(self, **changes)

        def s(self, /, *args: Any, **kwargs: Any) -> JobCall:
            """Return a call with these arguments, for chains, groups, graphs and batches."""
            call: JobCall = self.get_backend().job_of(self).s(*args, **kwargs)
            return call

        def after(self, *results: Any, on_dead: str = "block") -> JobTask:
            """Return this Task, blocked until what was enqueued before has succeeded: results of Tasks, or jobs.

            ``on_dead``: see ``JobDefinition.after``. Raises InvalidTask.
            """
            waits = self.get_backend().checked_after(self, results, on_dead)
            return replace(self, enqueue_options={**self.enqueue_options, **waits})

    return JobTask


def result_class(base: Any) -> Any:
    """Return the subclass of a root's TaskResult that jobs can wait for."""

    class JobResult(base):  # type: ignore[misc]  # as above
        """The result of a Task that is a job: ``after(...)`` takes it.

        One made by ``lazily`` reads each value when it is first asked for: most receivers of signals ask for few.
        """

        __slots__ = ("_read",)

        @classmethod
        def lazily(cls, read: Callable[[str], Any]) -> Any:
            """Return a result whose values ``read`` returns, by their names."""
            result = object.__new__(cls)
            object.__setattr__(result, "_read", read)
            return result

        def __getattr__(self, name: str) -> Any:
            """Read a value that is not there yet."""
            if name not in base.__dataclass_fields__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            value = self._read(name)
            object.__setattr__(self, name, value)
            return value

        @property
        def pk(self) -> int | None:
            """The primary key of the job."""
            return job_id_of(self.id)

        @property
        def database(self) -> str | None:
            """The alias of the job's database."""
            found = find_job_id(self.id)
            return None if found is None else found.database or get_settings().database

    return JobResult


def context_class(base: Any) -> Any:
    """Return the subclass of a root's TaskContext with the metadata of the job."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class JobTaskContext(base):  # type: ignore[misc]  # as above
        """The context that a Task with ``takes_context`` is given; ``job`` is what ``current_job()`` returns."""

        job: JobContext

        @property
        def metadata(self) -> dict[str, Any]:
            """The job's metadata: change it, and call ``save_metadata()``."""
            return self.job.metadata

        def save_metadata(self) -> None:
            """Save ``metadata`` as it is now, for this run and the next attempt; see ``JobContext``."""
            self.job.save_metadata()

        async def asave_metadata(self) -> None:
            """Do what ``save_metadata`` does, in an ``async def`` function."""
            await sync_to_async(self.job.save_metadata)()

    return JobTaskContext
