"""The name of this project: several projects may share one database, each with schedules of its own."""

from __future__ import annotations

import os

from django.conf import ENVIRONMENT_VARIABLE
from django.conf import settings as django_settings

UNNAMED = "project"


def default_project() -> str:
    """Return the first part of ROOT_URLCONF, else of the settings module: the same on all hosts of a project."""
    urls = getattr(django_settings, "ROOT_URLCONF", None)
    module = urls or os.environ.get(ENVIRONMENT_VARIABLE) or UNNAMED
    return str(module).partition(".")[0]
