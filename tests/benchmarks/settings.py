"""Django settings of the benchmark: defaults wherever there are any. The environment chooses the database."""

from __future__ import annotations

import json
import os

from tests.databases import chosen_vendor, database

SECRET_KEY = "of the benchmark only"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "testproject.test_urls"
ALLOWED_HOSTS = ["testserver"]
STATIC_URL = "static/"
INSTALLED_APPS = [
    "django_jobs",
    "django_jobs.web",
    "tests.benchmarks",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
TASKS = {"default": {"BACKEND": "django_jobs.contrib.tasks.JobsBackend", "QUEUES": []}}
BROKER = "measured"
BROKER_VARIABLE = "DJANGO_JOBS_BENCHMARK_BROKER"
"""The settings of the broker that is measured, as JSON, for the workers that are started."""
NOTIFIER_VARIABLE = "DJANGO_JOBS_BENCHMARK_NOTIFIER"
"""The URL of the Redis that wakes the workers that are started."""
RETENTION_VARIABLE = "DJANGO_JOBS_BENCHMARK_RETENTION"
"""How many seconds succeeded jobs are kept by the workers that are started."""
DJANGO_JOBS = {
    "NOTIFIER": os.environ.get(NOTIFIER_VARIABLE),
    "SCHEDULABLE": ["tests.benchmarks.jobs.noop"],
    "BROKERS": {BROKER: json.loads(os.environ[BROKER_VARIABLE])} if BROKER_VARIABLE in os.environ else {},
}
if RETENTION_VARIABLE in os.environ:
    DJANGO_JOBS["RETENTION"] = {"SUCCEEDED": int(os.environ[RETENTION_VARIABLE])}
DATABASES = {"default": database(chosen_vendor())}
