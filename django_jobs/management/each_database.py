"""Have a verb of ``manage.py jobs`` read each of the databases of jobs: one that is down keeps none from being read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.core.management.base import CommandError
from django.db import Error as DatabaseError

from ..conf import get_settings
from ..conf.database import use_database
from ..policy.printable import printable, printable_lines
from ..store.dialects import is_refusal, open_dialect
from ..store.readiness import explain
from .verb_command import VerbCommand

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers(Generic[T]):
    """Values that were ``read``, and for each database that is ``down`` a sentence that says why; both by alias."""

    read: Mapping[str, T]
    down: Mapping[str, str]

    def as_rows(self) -> dict[str, object]:
        """Return an object for JSON: what was read, or the ``error``, by alias."""
        rows: dict[str, object] = {**self.read, **{alias: {"error": reason} for alias, reason in self.down.items()}}
        return {alias: rows[alias] for alias in get_settings().aliases if alias in rows}

    def check(self) -> None:
        """Raise CommandError if no database has answered."""
        if not self.read:
            raise CommandError(printable_lines("\n".join(self.down.values())))

    def print_down(self, command: VerbCommand) -> None:
        """Print which are down."""
        for reason in self.down.values():
            command.print_lines(printable(f"problem: {reason}"))


def is_of_several(command: VerbCommand) -> bool:
    """Tell whether the command is about several databases: there are some, and ``--database`` names none."""
    return command.database is None and get_settings().has_many_databases


def read_databases(read: Callable[[], T]) -> Answers[T]:
    """Call a function on each of the databases of jobs, one after the other."""
    found: dict[str, T] = {}
    down: dict[str, str] = {}
    for alias in get_settings().aliases:
        with use_database(alias), _noting_outage(alias, down):
            found[alias] = read()
    return Answers(read=found, down=down)


@contextmanager
def _noting_outage(alias: str, down: dict[str, str]) -> Iterator[None]:
    """Take down why a database cannot be used; the next read opens another connection."""
    try:
        yield
    except DatabaseError as error:
        _, connection = open_dialect(alias)
        if is_refusal(connection, error):
            raise
        down[alias] = explain(error, using=alias)
        connection.close()
