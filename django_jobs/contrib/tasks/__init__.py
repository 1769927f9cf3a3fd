"""Django's Tasks on this engine: ``TASKS = {"default": {"BACKEND": "django_jobs.contrib.tasks.JobsBackend"}}``.

For ``django.tasks`` of Django 6, and for ``django_tasks``, its backport to Django 5.2; both side by side where both are
installed. Using it loads no model: ``@task`` runs while apps load.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backend import JobsBackend
    from .definition import with_options
    from .source import as_job

__all__ = ["JobsBackend", "as_job", "with_options"]


def __getattr__(name: str) -> Any:
    """Import the backend when it is used: ``conformance`` tests any backend, and needs none of it."""
    if name in __all__:
        from . import backend

        return getattr(backend, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
