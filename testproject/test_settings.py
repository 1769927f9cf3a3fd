"""Settings of the tests. The database is chosen by the environment: see ``tests/databases.py``."""

from __future__ import annotations

import json
import os

import django

from tests.databases import WITHOUT_ADMIN, chosen_vendor, database

SECRET_KEY = "of the tests only"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
ROOT_URLCONF = "testproject.test_urls"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "results": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": os.environ.get("DJANGO_JOBS_TEST_RESULTS", "/nonexistent")},
    },
    "broken": {"BACKEND": "tests.sampleapp.storage.BrokenStorage"},
}

DATABASES = {"default": database(chosen_vendor())}
if chosen_vendor() == "sqlite":
    # What a killed process has committed is there all the same; only a machine that loses power needs the disk's word.
    # Rows that no ORDER BY orders come backwards: code or a test that counts on their order fails each time, not once
    # in a while on PostgreSQL.
    pragmas = "PRAGMA synchronous=OFF; PRAGMA reverse_unordered_selects=ON"
    DATABASES["default"]["OPTIONS"] = {"init_command": pragmas}
DATABASES |= json.loads(os.environ.get("DJANGO_JOBS_TEST_MORE_DATABASES", "{}"))

ADMIN = [] if WITHOUT_ADMIN in os.environ else ["django.contrib.admin"]
INSTALLED_APPS = [
    "django_jobs",
    "django_jobs.web",
    *ADMIN,
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "tests.misbehaving",
    "tests.chaos",
    "tests.sampleapp",
    *filter(None, os.environ.get("DJANGO_JOBS_TEST_APPS", "").split(",")),
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
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# The tests run on SQLite as startproject leaves it, and workers that they start are not to repeat that.
SILENCED_SYSTEM_CHECKS = ["django_jobs.W004"]

# A worker that a test starts is told by the environment what that test's override_settings cannot tell it.
DJANGO_JOBS = json.loads(os.environ.get("DJANGO_JOBS_TEST_OPTIONS", "{}"))
if "DJANGO_JOBS_TEST_TASKS" in os.environ:
    TASKS = json.loads(os.environ["DJANGO_JOBS_TEST_TASKS"])
