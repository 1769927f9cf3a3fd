"""The ``DJANGO_JOBS`` setting, read once into a frozen, checked object.

``settings``: every key with its reader, default and documentation. ``fields``: how a key is declared and a group is
read. ``readers``: the checks of single values. ``project``: the default of one of them.
"""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from .project import default_project
from .readers import AccessCheck
from .settings import SETTING, Settings, read_settings

__all__ = ["SETTING", "AccessCheck", "Settings", "get_settings", "project_name", "project_names", "read_settings"]


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the checked settings of this process, or raise ConfigurationError."""
    return read_settings(getattr(django_settings, SETTING, {}))


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
