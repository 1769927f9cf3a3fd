"""System checks: options of tasks and settings of Celery that have no effect here (W201), priorities (W202)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register

from . import catalog
from .conf import DEFAULTS
from .options import WITHOUT_EFFECT
from .task import Task


@register(Tags.compatibility)
def check_without_effect(**_: Any) -> list[CheckMessage]:
    """List the options and settings that change nothing here, in one warning: W201."""
    lines = [f"{name} of {_names(tasks)}" for name, tasks in sorted(unused_options().items())]
    settings = sorted(unused_settings())
    if settings:
        lines.append(f"the settings {', '.join(settings)}")
    if not lines:
        return []
    return [
        Warning(
            f"Without effect in django_jobs: {'; '.join(lines)}.",
            hint="Remove them, or silence the check; see docs/how-to/celery.md.",
            id="django_jobs.W201",
        )
    ]


@register(Tags.compatibility)
def check_priorities(**_: Any) -> list[CheckMessage]:
    """Warn of priorities that were written for Redis, where 0 is the highest: W202."""
    brokers = {str(app.conf.get("broker_url") or app.conf.get("broker") or "") for app in _apps()}
    if not any(url.startswith(("redis", "sentinel")) for url in brokers):
        return []
    tasks = [task.name for task in catalog.all_tasks() if task.priority is not None]
    if not tasks:
        return []
    return [
        Warning(
            f"The broker was Redis, where priority 0 runs first; here higher numbers do: {_names(tasks)}.",
            hint="Negate the priorities, also those of apply_async, and remove the setting broker_url.",
            id="django_jobs.W202",
        )
    ]


def unused_options() -> dict[str, list[str]]:
    """Return the names of tasks by the options without effect that they, or their base classes, have."""
    found: dict[str, list[str]] = {}
    for task in catalog.all_tasks():
        for name in _given(task):
            if name in WITHOUT_EFFECT:
                found.setdefault(name, []).append(task.name)
    return found


def unused_settings() -> set[str]:
    """Return the settings that were given and are not read."""
    return {name for app in _apps() for name in app.conf.given() if name not in DEFAULTS}


def _given(task: Any) -> set[str]:
    kinds = [kind for kind in type(task).__mro__ if kind not in (object, Task)]
    names = {name for kind in kinds for name, value in vars(kind).items() if value is not None}
    return names | set(vars(task))


def _apps() -> list[Any]:
    apps = {id(app.conf): app for app in (task.app for task in catalog.all_tasks())}
    return list(apps.values())


def _names(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more
