from __future__ import annotations

from typing import Any

from django.apps import AppConfig

from . import fast_now, speed


class FastClockConfig(AppConfig):
    """Puts the fast clock under this process's dialects, and lets its scheduler wait in the same measure."""

    name = "tests.fastclock"

    def ready(self) -> None:
        from django_jobs.store.dialects import open_dialect
        from django_jobs.store.schedules import tick
        from django_jobs.worker.duties import scheduler

        dialect, _ = open_dialect()

        def now(self: Any, connection: Any) -> Any:
            return fast_now()

        type(dialect).now = now  # type: ignore[method-assign]

        def seconds_until_next_check(*, using: str | None = None) -> float | None:
            left = tick.seconds_until_next_check(using=using)
            return None if left is None else left / speed()

        scheduler.seconds_until_next_check = seconds_until_next_check
