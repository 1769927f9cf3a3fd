"""Find out whether a run failed because the jobs' own database went away: then it is not the job's failure."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from django.db import Error as DatabaseError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DatabaseErrorWrapper

from ...store.dialects import is_outage
from .errors import traceback_of

MAX_CAUSES = 100
_RAISED_BY_DJANGO = DatabaseErrorWrapper.__exit__.__code__
_context_of = BaseException.__dict__["__context__"].__get__
_cause_of = BaseException.__dict__["__cause__"].__get__


def is_database_error(error: BaseException, *, using: str) -> bool:
    """Tell whether an exception is one of Django's or of the driver of the database ``using``.

    Django lets through what the driver raises when it closes a cursor after an error (MySQL).
    """
    of_driver = connections[using].Database.Error  # type: ignore[attr-defined]  # Django's own since 1.6
    return issubclass(type(error), (DatabaseError, of_driver))


def is_interruption(error: BaseException, *, using: str) -> bool:
    """Tell whether an exception, its cause or one of its group is an outage of the database ``using``.

    Not for every lost connection: one to another database, or an exception that the job made itself, is the job's own.
    """
    return any(
        wrapper.alias == using and is_outage(wrapper, cause)
        for cause in _causes(error, using)
        if issubclass(type(cause), DatabaseError) and (wrapper := _connection_of(cause)) is not None
    )


def _connection_of(error: BaseException) -> BaseDatabaseWrapper | None:
    """Return the connection of a database error, in whichever thread it was: Django's frame that raised it has it."""
    found = None
    for frame, _ in traceback.walk_tb(traceback_of(error)):
        if frame.f_code is _RAISED_BY_DJANGO:
            found = frame.f_locals["self"].wrapper
    return found


def _causes(error: BaseException, using: str) -> Iterator[BaseException]:
    """Yield an exception, the members of its group, what they were raised from, and what the driver's hide."""
    unseen = [error]
    for _ in range(MAX_CAUSES):
        if not unseen:
            return
        current = unseen.pop()
        yield current
        if issubclass(type(current), BaseExceptionGroup):
            unseen.extend(current.exceptions)  # type: ignore[attr-defined]  # a group
        cause = _cause_of(current)
        if cause is None and is_database_error(current, using=using):
            cause = _context_of(current)
        if cause is not None:
            unseen.append(cause)
