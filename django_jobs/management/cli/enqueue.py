"""``manage.py jobs enqueue``: enqueue a job by name."""

from __future__ import annotations

from argparse import SUPPRESS
from typing import Any

from django.core.management.base import CommandError

from ...conf.readers import as_priority, as_queue_name
from .. import verbs
from ..rows import as_json
from ..verb_command import AddVerb, VerbCommand


def add_enqueue_verb(add: AddVerb) -> None:
    """Add the verb."""
    enqueue = add("enqueue", enqueue_job, "Enqueue a job by name.")
    enqueue.add_argument("name")
    enqueue.add_argument("surplus", nargs="*", help=SUPPRESS)
    enqueue.add_argument(
        "--arguments", default="{}", metavar="JSON", help="Keyword arguments, such as '{\"user_id\": 7}'."
    )
    enqueue.add_argument("--queue", metavar="NAME")
    enqueue.add_argument("--priority", type=int, metavar="N")
    enqueue.add_argument("--delay", type=float, metavar="SECONDS")
    enqueue.add_argument("--expires", type=float, metavar="SECONDS", help="Cancel it if it has not started by then.")


def enqueue_job(command: VerbCommand, options: dict[str, Any]) -> None:
    """Enqueue a job and print its id and state. Raises CommandError."""
    if options["surplus"]:
        raise CommandError(
            f"enqueue: expected one name, got {options['surplus'][0]!r} after it; arguments are given by keyword:"
            " --arguments '{\"user_id\": 7}'"
        )
    row = verbs.enqueue(
        options["name"],
        options["arguments"],
        queue_name=None if options["queue"] is None else as_queue_name("--queue", options["queue"]),
        priority=None if options["priority"] is None else as_priority("--priority", options["priority"]),
        delay_seconds=options["delay"],
        expires_seconds=options["expires"],
    )
    already = "already " if row["is_duplicate"] else ""
    command.stdout.write(
        as_json(row) if options["json"] else f"job {row['id']} ({row['name']}) is {already}{row['state']}"
    )
