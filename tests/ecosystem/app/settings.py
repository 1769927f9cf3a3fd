"""Settings of a project that uses the packages, with tasks on this package's backend."""

from __future__ import annotations

import tempfile

SECRET_KEY = "tests"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django_jobs",
    "crontask",
    "modelsearch",
    "pictures",
    "tests.ecosystem.app",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MEDIA_ROOT = tempfile.mkdtemp(prefix="pictures-")
MODELSEARCH_BACKENDS = {"default": {"BACKEND": "modelsearch.backends.database"}}
PICTURES = {
    "BREAKPOINTS": {"s": 576},
    "GRID_COLUMNS": 1,
    "CONTAINER_WIDTH": 200,
    "FILE_TYPES": ["WEBP"],
    "PIXEL_DENSITIES": [1],
}
TASKS = {"default": {"BACKEND": "django_jobs.contrib.tasks.JobsBackend", "QUEUES": []}}
SILENCED_SYSTEM_CHECKS = ["django_jobs.W004"]
