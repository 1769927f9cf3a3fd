"""The ``DJANGO_JOBS`` setting, read once into a frozen, checked object.

``settings``: every key with its reader, default and documentation. ``fields``: how a key is declared and a group is
read. ``readers``: the checks of single values. ``project``: the default of one of them. ``release``: the value of one
that may be a function.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from functools import lru_cache

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from .fields import SETTING
from .project import default_project
from .readers import AccessCheck
from .settings import Settings, read_settings

__all__ = [
    "SETTING",
    "AccessCheck",
    "Settings",
    "get_settings",
    "is_like_setting",
    "project_name",
    "project_names",
    "read_settings",
]

MIN_LIKENESS = 0.85
"""DJANGO_JOSB is like DJANGO_JOBS, DJANGO_LOGS is not."""


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the checked settings of this process, or raise ConfigurationError."""
    return read_settings(getattr(django_settings, SETTING, {}))


def is_like_setting(name: str) -> bool:
    """Tell whether another setting's name was probably meant to be DJANGO_JOBS, or one of its keys."""
    wanted, given = (one.replace("_", "") for one in (SETTING, name))
    return given.startswith(wanted[:-1]) or SequenceMatcher(None, wanted, given).ratio() >= MIN_LIKENESS


def project_names() -> tuple[str, ...]:
    """Return the names of this project, the present one first."""
    return get_settings().project or (default_project(),)


def project_name() -> str:
    """Return the present name of this project."""
    return project_names()[0]


def _forget_settings(*, setting: str, **_: object) -> None:
    if setting in {SETTING, "DATABASES", "STORAGES"}:
        get_settings.cache_clear()


setting_changed.connect(_forget_settings, dispatch_uid="django_jobs.conf")
