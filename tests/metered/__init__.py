"""An app with metrics of its own, made as projects make them: when its ``jobs.py`` is imported.

For workers of tests, by ``DJANGO_JOBS_TEST_APPS``.
"""
