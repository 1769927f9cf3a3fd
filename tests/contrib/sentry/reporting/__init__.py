"""An app that initializes Sentry in each process, and jobs whose failures are to be reported."""

DSN, OPTIONS = "DJANGO_JOBS_TEST_SENTRY_DSN", "DJANGO_JOBS_TEST_SENTRY_OPTIONS"
"""The variables that name the endpoint, and the integration's options as JSON."""
