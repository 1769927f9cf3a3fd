"""``app.conf``: Celery's settings, in new lower-case names; read when they are first needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import tzinfo
from functools import partial
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from .exceptions import UnsupportedError

DEFAULTS: Mapping[str, Any] = {
    "beat_schedule": {},
    "enable_utc": True,
    "imports": (),
    "include": (),
    "task_always_eager": False,
    "task_default_priority": None,
    "task_default_queue": None,
    "task_default_rate_limit": None,
    "task_eager_propagates": False,
    "task_routes": None,
    "task_soft_time_limit": None,
    "task_time_limit": None,
    "timezone": None,
}
"""The settings that are read, and their defaults."""

OLD_NAMES: Mapping[str, str] = {
    "CELERYBEAT_SCHEDULE": "beat_schedule",
    "CELERYD_TASK_SOFT_TIME_LIMIT": "task_soft_time_limit",
    "CELERYD_TASK_TIME_LIMIT": "task_time_limit",
    "CELERY_ALWAYS_EAGER": "task_always_eager",
    "CELERY_DEFAULT_QUEUE": "task_default_queue",
    "CELERY_DEFAULT_RATE_LIMIT": "task_default_rate_limit",
    "CELERY_EAGER_PROPAGATES": "task_eager_propagates",
    "CELERY_EAGER_PROPAGATES_EXCEPTIONS": "task_eager_propagates",
    "CELERY_ENABLE_UTC": "enable_utc",
    "CELERY_IMPORTS": "imports",
    "CELERY_INCLUDE": "include",
    "CELERY_ROUTES": "task_routes",
    "CELERY_TIMEZONE": "timezone",
}
"""Settings of Celery 3, which Celery still takes."""

_SERIALIZERS = ("task_serializer", "result_serializer", "event_serializer")
_OF_CELERY = (
    "accept_", "beat_", "broker_", "cache_", "control_", "database_", "deprecated_", "enable_", "event_", "imports",
    "include", "redis_", "result_", "security_", "task_", "timezone", "worker_",
)  # fmt: skip
"""How names of Celery's settings begin: an object without a namespace may have others."""


class Conf:
    """Settings by attribute or key; what is assigned here wins over what the objects given to ``read_from`` have."""

    def __init__(self) -> None:
        self._sources: list[tuple[Any, str]] = []
        self._assigned: dict[str, Any] = {}
        self._read: dict[str, Any] | None = None
        setting_changed.connect(self._forget, dispatch_uid=f"django_jobs.contrib.celery.conf.{id(self)}")

    def read_from(self, source: Any, namespace: str | None) -> None:
        """Add an object, or the path of one, whose attributes are settings; read when one is needed."""
        self._sources.append((source, namespace or ""))
        self._read = None

    def update(self, *given: Mapping[str, Any], **settings: Any) -> None:
        """Assign many settings."""
        for mapping in (*given, settings):
            self._assigned.update({_new_name(name): value for name, value in mapping.items()})

    def given(self) -> dict[str, Any]:
        """Return the settings that somebody has given, with their values."""
        if self._read is None:
            self._read = {name: value for source in self._sources for name, value in _settings_of(*source)}
        return {**self._read, **self._assigned}

    def get(self, name: str, default: Any = None) -> Any:
        """Return a setting; ``default`` if nobody has given it and it has no default."""
        return self.given().get(name, DEFAULTS.get(name, default))

    def check(self) -> None:
        """Raise UnsupportedError for a setting that would change what arrives."""
        for name in _SERIALIZERS:
            check_serializer(f"the setting {name}", self.get(name))

    @property
    def zone(self) -> tzinfo:
        """The time zone of crontabs and of naive datetimes."""
        zone = self.get("timezone")
        return ZoneInfo(zone or "UTC") if zone is None or isinstance(zone, str) else zone

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        known = self.given()
        if name not in known and name not in DEFAULTS:
            raise AttributeError(f"no setting of Celery named {name!r} was given")
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self._assigned[_new_name(name)] = value

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __contains__(self, name: object) -> bool:
        return name in self.given() or name in DEFAULTS

    def _forget(self, *, setting: str, **_: Any) -> None:
        if setting in OLD_NAMES or any(setting.startswith(f"{namespace}_") for _, namespace in self._sources):
            self._read = None


def check_serializer(label: str, value: object) -> None:
    """Refuse a serializer other than JSON."""
    if value not in (None, "json"):
        raise UnsupportedError(
            f"{label}: expected 'json', got {value!r}; arguments and results are JSON here, with dates, decimals,"
            " UUIDs, bytes and model instances; pass ids and plain values in place of other objects"
        )


def _settings_of(source: Any, namespace: str) -> Iterator[tuple[str, Any]]:
    settings = _load(source)
    read = settings.__getitem__ if isinstance(settings, Mapping) else partial(getattr, settings)
    names = list(settings) if isinstance(settings, Mapping) else dir(settings)
    prefix = f"{namespace}_" if namespace else ""
    for name in names:
        new = OLD_NAMES.get(name)
        if new is None and name.startswith(prefix) and (prefix.isupper() or not prefix):
            new = name.removeprefix(prefix).lower()
        if new is not None and not new.startswith("_") and (prefix or new.startswith(_OF_CELERY)):
            yield new, read(name)


def _load(source: Any) -> Any:
    if not isinstance(source, str):
        return source
    if source == "django.conf:settings":
        return django_settings
    module, _, attribute = source.partition(":")
    if attribute:
        return import_string(f"{module}.{attribute}")
    try:
        return import_module(module)
    except ModuleNotFoundError:
        return import_string(module)


def _new_name(name: str) -> str:
    return OLD_NAMES.get(name, name.removeprefix("CELERY_").lower() if name.isupper() else name)
