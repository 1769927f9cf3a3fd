"""Settings of the server that the browser talks to: those of the tests, static files, a strict policy."""

from __future__ import annotations

from testproject.test_settings import *  # noqa: F403 - the same project, served
from testproject.test_settings import INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.staticfiles"]
MIDDLEWARE = [
    "tests.browser.policy.strict_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    *[one for one in MIDDLEWARE if not one.endswith("SessionMiddleware")],
]
ROOT_URLCONF = "tests.browser.urls"
