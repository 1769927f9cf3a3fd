"""Changes of selected jobs: ``retry``, ``cancel``, ``purge``, ``move`` and ``set-priority`` of ``manage.py jobs``."""

from __future__ import annotations

from typing import Any, Literal

from ...conf.readers import as_priority
from ...policy.plurals import counted
from .. import verbs
from ..rows import as_json
from ..verb_command import AddVerb, VerbCommand
from ..worker_options import job_id
from .job_options import add_filter, selected_jobs

Verb = Literal["retry", "purge", "move", "set_priority"]


def add_change_verbs(add: AddVerb) -> None:
    """Add the verbs."""
    retry = add("retry", retry_jobs, "Redrive dead jobs and run scheduled ones now, retries included.")
    cancel = add("cancel", cancel_jobs, "Cancel waiting jobs and request cancellation of running ones.")
    purge = add("purge", purge_jobs, "Delete finished jobs.")
    move = add("move", move_jobs, "Move waiting jobs to another queue.")
    priority = add("set-priority", set_priority, "Give waiting jobs another priority.")
    for changing in (retry, cancel, purge, move, priority):
        changing.add_argument("ids", type=job_id, nargs="*", metavar="ID")
        add_filter(changing)
        changing.add_argument("--all", action="store_true", help="Select all jobs to which the verb applies.")
        changing.add_argument("--dry-run", action="store_true", help="Count the jobs and change nothing.")
    for with_priority in (retry, priority):
        with_priority.add_argument(
            "--priority",
            type=int,
            required=with_priority is priority,
            metavar="N",
            help="-100 to 100; higher runs first, -100 when no other job waits.",
        )
    move.add_argument("--to", required=True, metavar="QUEUE", help="The queue that they go to.")
    move.add_argument("--create", action="store_true", help="Allow a queue that nobody knows yet.")


def retry_jobs(command: VerbCommand, options: dict[str, Any]) -> None:
    """Redrive dead jobs and run scheduled ones now."""
    _change(command, options, "retry", "retried", **_priority(options))


def cancel_jobs(command: VerbCommand, options: dict[str, Any]) -> None:
    """Cancel waiting jobs and request cancellation of running ones."""
    result = verbs.cancel_jobs(dry_run=options["dry_run"], **selected_jobs(options))
    if options["json"]:
        command.stdout.write(as_json({**result._asdict(), "dry_run": options["dry_run"]}))
        return
    would_be = "would be " if options["dry_run"] else ""
    text = f"{counted(result.cancelled, 'job')} {would_be}cancelled"
    if result.requested:
        text += f", cancellation of {counted(result.requested, 'running job')} {would_be}requested"
    command.print_lines(text)


def purge_jobs(command: VerbCommand, options: dict[str, Any]) -> None:
    """Delete finished jobs."""
    _change(command, options, "purge", "purged")


def move_jobs(command: VerbCommand, options: dict[str, Any]) -> None:
    """Move waiting jobs to another queue."""
    to = verbs.check_queue(options["to"], create=options["create"])
    _change(command, options, "move", "moved", f" to queue {to}", to=to)


def set_priority(command: VerbCommand, options: dict[str, Any]) -> None:
    """Give waiting jobs another priority."""
    priority = _priority(options)
    _change(command, options, "set_priority", "changed", f" to priority {priority['priority']}", **priority)


def _change(
    command: VerbCommand, options: dict[str, Any], verb: Verb, past: str, where: str = "", **change: Any
) -> None:
    changed = verbs.change_jobs(verb, dry_run=options["dry_run"], change=change, **selected_jobs(options))
    if options["json"]:
        command.stdout.write(as_json({past: changed, "dry_run": options["dry_run"]}))
    else:
        command.print_lines(f"{counted(changed, 'job')} {'would be ' if options['dry_run'] else ''}{past}{where}")


def _priority(options: dict[str, Any]) -> dict[str, Any]:
    return {"priority": None if options["priority"] is None else as_priority("--priority", options["priority"])}
