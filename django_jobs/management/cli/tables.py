"""Rows and indexes of the tables: ``prune`` and ``index`` of ``manage.py jobs``."""

from __future__ import annotations

from typing import Any

from ... import operations
from ...policy.plurals import counted
from ...store.search.optional_indexes import INDEX_NAMES
from .. import verbs
from ..rows import as_json
from ..verb_command import AddVerb, VerbCommand


def add_table_verbs(add: AddVerb) -> None:
    """Add the verbs."""
    add("prune", prune_rows, "Delete everything older than its retention now.")
    index = add("index", change_index, "Create an optional index with which searches find jobs in the whole table.")
    index.add_argument("kind", choices=sorted(INDEX_NAMES), help="What to index; arguments: on PostgreSQL only.")
    index.add_argument("--drop", action="store_true", help="Drop it instead.")


def prune_rows(command: VerbCommand, options: dict[str, Any]) -> None:
    """Delete everything older than its retention."""
    deleted = operations.prune()
    command.stdout.write(as_json({"pruned": deleted}) if options["json"] else f"{counted(deleted, 'job')} pruned")


def change_index(command: VerbCommand, options: dict[str, Any]) -> None:
    """Create an optional index, or drop it."""
    changed = verbs.change_index(options["kind"], drop=options["drop"])
    past = "dropped" if options["drop"] else "created"
    if options["json"]:
        command.stdout.write(as_json({past: options["kind"] if changed else None}))
    else:
        command.print_lines(f"the index of {options['kind']} {'is' if changed else 'was already'} {past}")
