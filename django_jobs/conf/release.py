"""The release that this process runs: the setting ``RELEASE``, found once in each process."""

from __future__ import annotations

import logging
from functools import lru_cache

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from ..exceptions import ConfigurationError
from . import get_settings
from .fields import SETTING
from .readers import FindRelease, as_release_name, is_dotted_path

OPTION = f"{SETTING}['RELEASE']"

logger = logging.getLogger("django_jobs.worker")


@lru_cache(maxsize=1)
def current_release() -> str:
    """Return the release, or "" if the setting has none.

    A function that fails is logged, and costs no worker its start. A forked process keeps the release that its
    supervisor found, as it keeps its code.
    """
    given = get_settings().release
    try:
        return _find(given)
    except ConfigurationError as error:
        logger.warning("%s; no release is reported", error)
    except Exception as error:  # noqa: BLE001 - of the project's function: its name costs no worker its start
        logger.warning(
            "%s: %s raised %s: %s; no release is reported", OPTION, _title(given), type(error).__name__, error
        )
    return ""


def _find(given: FindRelease | str | None) -> str:
    if is_dotted_path(given):
        given = _import_function(given)
    if callable(given):
        found = given()
        return as_release_name(f"{OPTION}: {_title(given)}()", found) if found not in (None, "") else ""
    return given or ""


def _import_function(path: str) -> FindRelease:
    try:
        found: object = import_string(path)
    except ImportError as error:
        raise ConfigurationError(
            f"{OPTION}: expected the dotted path of a function, because {path!r} looks like one: {error}"
        ) from error
    if not callable(found):
        raise ConfigurationError(f"{OPTION}: expected a function at {path}, got {found!r}")
    return found


def _title(given: object) -> str:
    return given if isinstance(given, str) else str(getattr(given, "__qualname__", None) or repr(given))


def _forget_release(*, setting: str, **_: object) -> None:
    if setting == SETTING:
        current_release.cache_clear()


setting_changed.connect(_forget_release, dispatch_uid="django_jobs.conf.release")
