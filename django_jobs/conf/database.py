"""The jobs' database that the code which runs here acts on, and the function that chooses one for a new job.

With one database that is the setting's. With several (``DATABASES``) it is that of the running job, of the worker's
thread, of the admin's page or of a command's ``--database``; elsewhere it is the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from django.utils.module_loading import import_string

from ..exceptions import ConfigurationError
from ..policy.job_ids import JobId, format_job_id
from . import get_settings
from .fields import SETTING

ChooseDatabase = Callable[[str, Mapping[str, Any]], str | None]
"""Is called with a job's name and its arguments by name; returns an alias, or None to leave the choice."""

CHOOSER = f"{SETTING}['CHOOSE_DATABASE']"

_current: ContextVar[str | None] = ContextVar("django_jobs_database", default=None)


def current_database() -> str:
    """Return the alias of the jobs' database that this code acts on."""
    return _current.get() or get_settings().database


def chosen_database() -> str | None:
    """Return the alias that ``use_database`` has set here, None outside of it."""
    return _current.get()


def public_id(number: int, *, database: str | None = None) -> int | str:
    """Return the id by which people and addresses name a job: its number, or ``eu:4711`` if jobs are in several.

    ``database``: that of the job, by default the one that this code acts on.
    """
    several = get_settings().has_many_databases
    return format_job_id(JobId((database or current_database()) if several else None, number))


@contextmanager
def use_database(alias: str) -> Iterator[None]:
    """Have the code in the block act on another of the jobs' databases."""
    token = _current.set(alias)
    try:
        yield
    finally:
        _current.reset(token)


def set_database(alias: str) -> None:
    """Do the same for the rest of this thread, task or context."""
    _current.set(alias)


def check_database(label: str, alias: object) -> str:
    """Return ``alias`` if it is one of the jobs' databases, or raise ConfigurationError."""
    known = get_settings().aliases
    if isinstance(alias, str) and alias in known:
        return alias
    setting = "DATABASES" if get_settings().databases else "DATABASE"
    raise ConfigurationError(
        f"{label}: expected an alias of {SETTING}[{setting!r}] ({', '.join(known)}), got {alias!r}"
    )


@lru_cache(maxsize=4)
def find_chooser(path: str) -> ChooseDatabase:
    """Return the function at a dotted path. Raises ConfigurationError."""
    try:
        found: object = import_string(path)
    except ImportError as error:
        raise ConfigurationError(f"{CHOOSER}: expected the dotted path of a function, got {path!r}: {error}") from error
    if not callable(found):
        raise ConfigurationError(f"{CHOOSER}: expected a function at {path}, got {found!r}")
    return found
