"""Make functions and objects of classes tasks: what ``@app.task`` and ``register_task`` do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...exceptions import ConfigurationError
from . import catalog
from .job import define_job
from .options import check_task_options
from .task import Task


def decorate(app: Any, given: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Return the task of a function, or the decorator with these options. Raises what is wrong with them."""
    if len(given) == 1 and callable(given[0]):
        return _make(app, given[0], options)
    if given:
        raise TypeError(f"@task: expected a function, or options by keyword, got {', '.join(map(repr, given))}")
    return lambda function: _make(app, function, options)


def _make(app: Any, function: Callable[..., Any], given: Mapping[str, Any]) -> Task:
    options = dict(given)
    name, bind = options.pop("name", None), options.pop("bind", False)
    base = options.pop("base", None) or app.Task
    if not (isinstance(base, type) and issubclass(base, Task)):
        raise ConfigurationError(f"@task: base: expected a subclass of {Task.__module__}.Task, got {base!r}")
    name = name or app.gen_task_name(getattr(function, "__name__", ""), function.__module__)
    attributes = {
        **options,
        "name": name,
        "run": function if bind else staticmethod(function),
        "abstract": False,
        "__doc__": function.__doc__,
        "__module__": function.__module__,
        "__annotations__": {},
    }
    task = type(getattr(function, "__name__", "task"), (base,), attributes)()
    vars(task).update(
        __name__=getattr(function, "__name__", name), __qualname__=function.__qualname__, __wrapped__=function
    )
    return register(app, task)


def register(app: Any, task: Task) -> Task:
    """Check the options of a task and define its job. Raises ConfigurationError and UnsupportedError."""
    check_task_options(f"task {task.name}", _options_of(task))
    task.app = app
    task.job = define_job(task, app.conf if app.is_ready else None)
    catalog.add(task)
    return task


def _options_of(task: Task) -> dict[str, Any]:
    """Return the attributes that a task and its base classes add to those of Task."""
    found: dict[str, Any] = {}
    for kind in reversed(type(task).__mro__):
        if kind is not object and kind is not Task:
            found.update(vars(kind))
    return {**found, **vars(task)}
