"""Schedules: ``schedules`` and ``tick`` of ``manage.py jobs``."""

from __future__ import annotations

from typing import Any

from ...policy.printable import printable
from .. import verbs
from ..rows import SCHEDULE_COLUMNS, as_json, as_table
from ..verb_command import AddVerb, VerbCommand


def add_schedule_verbs(add: AddVerb) -> None:
    """Add the verbs."""
    add("schedules", print_schedules, "List schedules with their next and last tick.")
    add("tick", fire_due_schedules, "Fire the due schedules once and exit, for hosts without a permanent process.")


def print_schedules(command: VerbCommand, options: dict[str, Any]) -> None:
    """Print the schedules, and why some do not fire."""
    rows = verbs.list_schedules()
    if options["json"]:
        command.stdout.write(as_json(rows))
    else:
        command.print_lines(as_table(rows, SCHEDULE_COLUMNS) if rows else "no schedules")
        for row in rows:
            if row["problem"]:
                command.print_lines(f"{printable(row['name'])} does not fire: {printable(row['problem'])}")


def fire_due_schedules(command: VerbCommand, options: dict[str, Any]) -> None:
    """Fire the due schedules once and print how many of them fired."""
    ticked = verbs.tick_once()
    counts = {outcome: getattr(ticked, outcome) for outcome in ("fired", "waiting", "skipped", "missed")}
    if options["json"]:
        command.stdout.write(as_json({**counts, "problems": list(ticked.problems)}))
    else:
        command.print_lines(", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
    for problem in ticked.problems:
        command.stderr.write(f"does not fire: {printable(problem)}")
