"""``django_jobs.web`` is an app of its own: a project without it has no table, no page and no code of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.databases import ROOT

PROJECT = """
import json, sys
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="of a project without the web app", USE_TZ=True, ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="tests.web.admin_urls",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django_jobs", "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
        "django.contrib.messages", "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
)
django.setup()
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command, get_commands
from django.db import connection
from django.test import Client
from django.urls import include

call_command("check")
call_command("migrate", verbosity=0)
client = Client()
client.force_login(User.objects.create_superuser("ada"))
pages = {path: client.get(path).status_code for path in ("/admin/", "/admin/django_jobs/job/")}
loaded = sorted(name for name in sys.modules if name.startswith("django_jobs.web"))
try:
    include("django_jobs.web.urls")
    refusal = ""
except ImproperlyConfigured as error:
    refusal = str(error)
print(json.dumps({
    "tables": [name for name in connection.introspection.table_names() if "token" in name],
    "commands": sorted(name for name, app in get_commands().items() if app.startswith("django_jobs")),
    "pages": pages, "loaded": loaded, "refusal": refusal,
}))
"""


@pytest.fixture(scope="module")
def without_app() -> dict[str, Any]:
    """A project that has installed ``django_jobs`` alone: what it has loaded, made and answered."""
    done = subprocess.run(
        [sys.executable, "-c", PROJECT], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def test_without_the_app_nothing_of_it_is_imported(without_app: dict[str, Any]) -> None:
    assert without_app["loaded"] == []


def test_without_the_app_migrate_makes_no_table_for_tokens(without_app: dict[str, Any]) -> None:
    assert without_app["tables"] == []


def test_without_the_app_there_is_no_command_for_tokens(without_app: dict[str, Any]) -> None:
    assert without_app["commands"] == ["jobs", "runworker"]


def test_without_the_app_the_admin_works(without_app: dict[str, Any]) -> None:
    assert without_app["pages"] == {"/admin/": 200, "/admin/django_jobs/job/": 200}


def test_without_the_app_its_urls_are_refused_with_what_to_add(without_app: dict[str, Any]) -> None:
    assert 'needs the app "django_jobs.web"; add it to INSTALLED_APPS' in without_app["refusal"]
