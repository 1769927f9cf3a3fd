"""Tasks of the sample app. Only processes whose setting TASKS names our backend import this, by themselves."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.dispatch import receiver

from django_jobs.contrib.tasks.roots import ROOTS

(root, *_) = ROOTS
package = sys.modules[root.name]


@package.task
def add(one: int, other: int) -> int:
    return one + other


@package.task(takes_context=True)
async def try_twice(context: Any) -> list[Any]:
    if context.attempt == 1:
        context.metadata["was_here"] = True
        await context.asave_metadata()
        raise OSError("not yet")
    return [context.attempt, len(context.task_result.errors), context.metadata["was_here"]]


@package.task
def exit_from(code: int) -> None:
    sys.exit(code)


@receiver([root.signals.task_started, root.signals.task_finished])
def say(signal: Any, task_result: Any, **_: Any) -> None:
    what = "started" if signal is root.signals.task_started else "finished"
    line = f"TOLD {what} {task_result.task.name} {task_result.status.value} {task_result.attempts}\n"
    os.write(sys.stderr.fileno(), line.encode())  # at once: several threads tell
