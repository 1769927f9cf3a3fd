"""Settings of a served project whose admin has the theme that ``ADMIN_THEME`` names."""

from __future__ import annotations

import os

from testproject.test_settings import *  # noqa: F403 - the same project, with a theme
from testproject.test_settings import INSTALLED_APPS, MIDDLEWARE

APPS = {
    "unfold": ["unfold"],
    "jazzmin": ["jazzmin"],
    "grappelli": ["grappelli"],
    "admin_interface": ["admin_interface", "colorfield"],
}
JAZZMIN_SETTINGS = {"use_google_fonts_cdn": False}

INSTALLED_APPS = [*APPS[os.environ["ADMIN_THEME"]], *INSTALLED_APPS, "django.contrib.staticfiles"]
MIDDLEWARE = [*MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"]
ROOT_URLCONF = "tests.ecosystem.themes.urls"
X_FRAME_OPTIONS = "SAMEORIGIN"
