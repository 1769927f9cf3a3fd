"""A panel of django-debug-toolbar with the jobs that a request enqueued.

``DEBUG_TOOLBAR_PANELS = [*PANELS_DEFAULTS, "django_jobs.contrib.debug_toolbar.JobsPanel"]``. Needs django-debug-toolbar
8, the extra ``[debug-toolbar]``.
"""

try:
    import debug_toolbar.panels  # noqa: F401 - the answer is in the error
except ImportError as missing:
    raise ImportError(
        "django_jobs.contrib.debug_toolbar: expected django-debug-toolbar; install django-jobs-engine[debug-toolbar]"
    ) from missing

from .panel import JobsPanel

__all__ = ["JobsPanel"]
