"""Tasks of the tests. ``conftest.py`` loads this file once for each root, under a name of its own."""

from __future__ import annotations

from typing import Any

from django_jobs import current_job
from tests.contrib.tasks.roots import task_decorator

task = task_decorator(__name__)
seen: list[Any] = []


@task()
def add(one: int, other: int = 0) -> int:
    return one + other


@task(backend="slow")
def add_slowly(one: int) -> int:
    return one


@task
def echo(*args: Any, **kwargs: Any) -> Any:
    return [list(args), kwargs]


@task()
async def add_later(one: int, other: int) -> int:
    return one + other


@task()
def fail(message: str) -> None:
    raise ValueError(message)


@task()
def give(kind: str) -> Any:
    return {"nan": float("nan"), "object": object(), "tuple": (1, {2: None}), "deep": None}[kind]


@task(takes_context=True)
def look(context: Any, *, save: bool = False) -> list[Any]:
    context.metadata["attempts"] = context.metadata.get("attempts", 0) + 1
    if save:
        context.save_metadata()
    seen.append(context.task_result)
    assert context.job is current_job()
    return [context.attempt, context.task_result.id, current_job().job_id]


@task(takes_context=True)
async def look_later(context: Any) -> int:
    await context.asave_metadata()
    seen.append(context.task_result)
    if context.attempt == 1:
        raise OSError("not yet")
    return context.attempt


@task(takes_context=True)
def flaky(context: Any) -> str:
    if context.attempt == 1:
        raise OSError("not yet")
    seen.append(context.task_result)
    return "done"


@task(takes_context=True)
def take_any(context: Any, **arguments: Any) -> Any:
    return arguments


@task(queue_name="mail", priority=7)
def send() -> None: ...
