"""Functions that the suite enqueues; ``bind`` makes each of them a Task of the backend under test, in its place.

A worker process imports this module by the path of a task: it is bound at import too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any


class RefusedError(Exception):
    """An error of the tasks' own module."""


ERRORS: dict[str, type[BaseException]] = {
    "ValueError": ValueError,
    "RefusedError": RefusedError,
    "SystemExit": SystemExit,
}


def echo(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return what was given."""
    return {"args": list(args), "kwargs": kwargs}


async def echo_async(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return what was given, from a coroutine."""
    return {"args": list(args), "kwargs": kwargs}


def take_one(value: Any) -> Any:
    """Return the one argument."""
    return value


def take_options(
    task: Any, *, args: Any, kwargs: Any, backend: Any, priority: Any, queue_name: Any, run_after: Any
) -> list[Any]:
    """Return the values of arguments whose names are words of the interface."""
    return [task, args, kwargs, backend, priority, queue_name, run_after]


def return_pair() -> tuple[int, int]:
    """Return what is a list in JSON."""
    return (1, 2)


def return_function() -> Callable[..., Any]:
    """Return what JSON cannot carry."""
    return return_pair


def fail(error: str, message: str) -> None:
    """Raise an error of this name."""
    raise ERRORS[error](message)


async def fail_async(message: str) -> None:
    """Raise a ValueError in a coroutine."""
    raise ValueError(message)


def fail_from(message: str) -> None:
    """Raise an error that another caused."""
    try:
        raise KeyError("the cause")
    except KeyError as error:
        raise RefusedError(message) from error


def describe(context: Any, *args: Any) -> dict[str, Any]:
    """Return what the context tells while the task runs."""
    result = context.task_result
    return {
        "id": result.id,
        "status": str(result.status.value),
        "attempt": context.attempt,
        "attempts": result.attempts,
        "is_finished": result.is_finished,
        "has_started_at": result.started_at is not None,
        "args": list(args),
        "result_args": list(result.args),
        "path": result.task.module_path,
    }


async def describe_async(context: Any) -> str:
    """Return the id of the result from a coroutine."""
    return str(context.task_result.id)


def enqueue_another(value: Any) -> str:
    """Enqueue a task and return the id of its result."""
    task: Any = take_one  # once it is bound
    return str(task.enqueue(value).id)


FUNCTIONS: tuple[Callable[..., Any], ...] = (
    *(echo, echo_async, take_one, take_options, return_pair, return_function),
    *(fail, fail_async, fail_from, describe, describe_async, enqueue_another),
)


def bind(package: str, alias: str) -> None:
    """Make each function a Task of the backend ``alias``; leave out the coroutines if it does not support them.

    ``package`` is ``django.tasks`` or ``django_tasks``. Raises what the backend raises for a function that is not
    asynchronous.
    """
    tasks = import_module(package)
    backend = tasks.task_backends[alias]
    for function in FUNCTIONS:
        if function.__name__.endswith("_async") and not backend.supports_async_task:
            continue
        takes_context = function.__name__.startswith("describe")
        globals()[function.__name__] = tasks.task(backend=alias, takes_context=takes_context)(function)


def _bind_at_import() -> None:
    package = "django.tasks" if find_spec("django.tasks") else "django_tasks"
    # A project may have no such alias, or not this queue: then the suite binds them with settings of its own.
    with suppress(Exception):
        bind(package, "default")


_bind_at_import()
