"""Queues: ``pause``, ``resume`` and ``max-running`` of ``manage.py jobs``."""

from __future__ import annotations

from typing import Any

from ... import operations
from ...conf.readers import as_queue_name
from ...policy.plurals import counted
from .. import verbs
from ..rows import as_json
from ..verb_command import AddVerb, VerbCommand


def add_queue_verbs(add: AddVerb) -> None:
    """Add the verbs."""
    pause = add("pause", pause_queue, "Pause a queue: none of its jobs is claimed, running ones go on.")
    resume = add("resume", resume_queue, "Resume a paused queue.")
    max_running = add("max-running", limit_queue, "Limit the running jobs of a queue over all workers.")
    for with_queue in (pause, resume, max_running):
        with_queue.add_argument("queue")
    for creating in (pause, max_running):
        creating.add_argument("--create", action="store_true", help="Also if nobody knows a queue of that name.")
    max_running.add_argument("limit", help="A whole number, or 'none' for no limit.")


def pause_queue(command: VerbCommand, options: dict[str, Any]) -> None:
    """Pause a queue."""
    queue = as_queue_name("queue", options["queue"])
    if not options["create"]:
        verbs.require_queue(queue)
    changed = operations.pause(queue, by=verbs.actor())
    _print_queue(command, options, "paused", changed)


def resume_queue(command: VerbCommand, options: dict[str, Any]) -> None:
    """Resume a paused queue."""
    _print_queue(command, options, "resumed", operations.resume(options["queue"]))


def limit_queue(command: VerbCommand, options: dict[str, Any]) -> None:
    """Limit the running jobs of a queue, or lift the limit."""
    queue = as_queue_name("queue", options["queue"])
    if not options["create"]:
        verbs.require_queue(queue)
    limit = verbs.set_max_running(queue, options["limit"])
    if options["json"]:
        command.stdout.write(as_json({"queue": queue, "max_running": limit}))
    else:
        rule = "no limit" if limit is None else f"at most {counted(limit, 'running job')}"
        command.print_lines(f"queue {queue}: {rule}")


def _print_queue(command: VerbCommand, options: dict[str, Any], past: str, changed: bool) -> None:
    if options["json"]:
        command.stdout.write(as_json({past: options["queue"] if changed else None}))
    else:
        command.print_lines(f"queue {options['queue']} {'is' if changed else 'was already'} {past}")
