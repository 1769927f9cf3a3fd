"""Celery's signals are not sent; importing one names what there is in its place."""

from __future__ import annotations

from typing import NoReturn

_INSTEAD = {
    "before_task_publish": "the setting HOOKS: on_enqueue (docs/how-to/hooks.md)",
    "after_task_publish": "django_jobs.signals.job_enqueued",
    "task_prerun": "the setting HOOKS: around (docs/how-to/hooks.md), or before_start of a base class",
    "task_postrun": "the setting HOOKS: around (docs/how-to/hooks.md), or after_return of a base class",
    "task_success": "django_jobs.signals.job_succeeded, or on_success of a base class",
    "task_failure": "django_jobs.signals.job_dead, or on_failure of a base class",
    "task_retry": "django_jobs.signals.job_retried, or on_retry of a base class",
    "worker_process_init": "django_jobs.signals.worker_started",
    "worker_init": "django_jobs.signals.worker_started",
    "worker_ready": "django_jobs.signals.worker_started",
    "worker_process_shutdown": "django_jobs.signals.worker_stopping",
    "worker_shutdown": "django_jobs.signals.worker_stopping",
    "worker_shutting_down": "django_jobs.signals.worker_stopping",
    "task_revoked": "django_jobs.signals.job_cancelled",
    "setup_logging": "the setting LOGGING: workers read it as every command does",
    "after_setup_logger": "the setting LOGGING: workers read it as every command does",
    "after_setup_task_logger": "the setting LOGGING: workers read it as every command does",
}


def __getattr__(name: str) -> NoReturn:
    """Say what there is in place of a signal."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    instead = _INSTEAD.get(name, "the signals of django_jobs.signals, or the setting HOOKS")
    raise ImportError(f"celery.signals.{name} is not sent here; use {instead}")
