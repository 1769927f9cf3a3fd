"""Errors, traces and check-ins of schedules for Sentry: ``sentry_sdk.init(integrations=[DjangoJobsIntegration()])``.

Needs the extra ``[sentry]``. docs/how-to/sentry.md has the whole way.
"""

try:
    import sentry_sdk  # noqa: F401 - the answer is in the error
except ImportError as missing:
    raise ImportError(
        "django_jobs.contrib.sentry: expected Sentry's SDK; install django-jobs-engine[sentry]"
    ) from missing

from .integration import DjangoJobsIntegration

__all__ = ["DjangoJobsIntegration"]
