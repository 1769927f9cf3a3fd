"""The tasks of this process, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .exceptions import NotRegistered

_tasks: dict[str, Any] = {}


def add(task: Any) -> None:
    """Make a task known, in place of an older one of its name."""
    _tasks[task.name] = task


def find(name: str) -> Any:
    """Return the task of a name; None if there is none."""
    return _tasks.get(name)


def all_tasks() -> list[Any]:
    """Return all tasks, sorted by name."""
    return [_tasks[name] for name in sorted(_tasks)]


class Tasks(Mapping[str, Any]):
    """``app.tasks``: the tasks by name."""

    def __getitem__(self, name: str) -> Any:
        task = find(name)
        if task is None:
            raise NotRegistered(f"no task is named {name!r}; known are {', '.join(sorted(_tasks)) or 'none'}")
        return task

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(_tasks))

    def __len__(self) -> int:
        return len(_tasks)
