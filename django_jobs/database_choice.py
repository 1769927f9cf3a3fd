"""Choose the database of a new job, if jobs are in several.

In this order: ``using(database=...)``, the function of ``CHOOSE_DATABASE``, the database of the batch that is filled or
of the jobs that are waited for, that of the transaction at hand if one of the databases alone is in one, that of the
running job, the first. Jobs of one batch or graph are in one database: a contradiction is a ConfigurationError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .conf import get_settings
from .conf.database import CHOOSER, check_database, current_database, find_chooser
from .context import batch_scope
from .exceptions import ConfigurationError
from .registry import DefinedJob


class _Choice(NamedTuple):
    database: str
    reason: str


def choose_databases(definition: DefinedJob, bound: Sequence[dict[str, Any]]) -> list[str]:
    """Return the database of each of the jobs. Raises ConfigurationError."""
    given = definition.enqueue_options.get("database")
    path = get_settings().choose_database
    fixed = [*_of_batch(), *_of_predecessors(definition)]
    fallback = None if given is not None and not fixed else default_database()
    if given is not None or path is None:
        asked = [] if given is None else [_Choice(given, "using(database=...)")]
        return [_agreed(definition.name, [*fixed, *asked], fallback)] * len(bound)
    by_name = definition.signature.by_name
    choices = (_choose(path, definition.name, by_name(arguments)) for arguments in bound)
    return [_agreed(definition.name, [*fixed, *choice], fallback) for choice in choices]


def choose_graph_database(calls: Iterable[tuple[DefinedJob, dict[str, Any]]], others: Iterable[str]) -> str:
    """Return the one database of the jobs of a graph, and of the jobs elsewhere that they wait for."""
    path = get_settings().choose_database
    choices = [*_of_batch(), *(_Choice(alias, "a job that it waits for") for alias in others)]
    for definition, arguments in calls:
        choices += _of_predecessors(definition)
        if (given := definition.enqueue_options.get("database")) is not None:
            choices.append(_Choice(given, f"{definition.name}.using(database=...)"))
        elif path is not None:
            choices += _choose(path, definition.name, definition.signature.by_name(arguments))
    return _agreed("a graph", choices, None)


def default_database() -> str:
    """Return the database of the transaction at hand, if one alone of the jobs' databases is in one, else that in use.

    Those that a TestCase opens around a test do not count.
    """
    settings = get_settings()
    if not settings.has_many_databases:
        return settings.database
    found = [alias for alias in settings.aliases if _is_in_transaction(connections[alias])]
    return found[0] if len(found) == 1 else current_database()


def _is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def _choose(path: str, name: str, arguments: Mapping[str, Any]) -> list[_Choice]:
    alias = find_chooser(path)(name, arguments)
    if alias is None:
        return []
    return [_Choice(check_database(f"{CHOOSER}: {path}({name!r}, ...)", alias), path)]


def _of_batch() -> list[_Choice]:
    scope = batch_scope.get()
    return [] if scope is None else [_Choice(scope.database, f"batch {scope.batch_id}")]


def _of_predecessors(definition: DefinedJob) -> list[_Choice]:
    return [] if definition.waits_in is None else [_Choice(definition.waits_in, "the jobs of after(...)")]


def _agreed(name: str, choices: Sequence[_Choice], fallback: str | None) -> str:
    """Return what all say. Raises ConfigurationError if two contradict each other."""
    if not choices:
        return default_database() if fallback is None else fallback
    first = choices[0]
    for other in choices:
        if other.database != first.database:
            raise ConfigurationError(
                f"{name}: expected one database for jobs that belong together, got {first.database!r} ({first.reason})"
                f" and {other.database!r} ({other.reason}); batches, graphs and after(...) stay within one database"
            )
    return first.database
