"""Steps that other ways to define jobs take once all apps are loaded; ``DjangoJobsConfig.ready()`` runs them."""

from __future__ import annotations

from collections.abc import Callable

_steps: list[Callable[[], object]] = []
_is_done = False


def when_ready(step: Callable[[], object]) -> None:
    """Have ``step`` called by ``ready()``. Not to be used after that: see ``is_ready``."""
    _steps.append(step)


def is_ready() -> bool:
    """Tell whether the steps have been taken."""
    return _is_done


def run_steps() -> None:
    """Take the steps in the order in which they came, those that they add themselves, too."""
    global _is_done  # noqa: PLW0603 - a process is set up once
    for step in _steps:
        step()
    _steps.clear()
    _is_done = True
