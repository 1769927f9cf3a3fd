"""Django settings of the benchmark: defaults wherever there are any. The environment chooses the database."""

from __future__ import annotations

from tests.databases import chosen_vendor, database

SECRET_KEY = "of the benchmark only"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django_jobs", "tests.benchmarks"]
DJANGO_JOBS = {"SCHEDULABLE": ["tests.benchmarks.jobs.noop"]}
DATABASES = {"default": database(chosen_vendor())}
