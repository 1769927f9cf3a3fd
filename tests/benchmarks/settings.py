"""Django settings of the benchmark: defaults wherever there are any. The environment chooses the database."""

from __future__ import annotations

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
DJANGO_JOBS = {"SCHEDULABLE": ["tests.benchmarks.jobs.noop"]}
DATABASES = {"default": database(chosen_vendor())}
