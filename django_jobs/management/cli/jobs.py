"""Single jobs: ``list`` and ``show`` of ``manage.py jobs``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from textwrap import indent
from typing import Any

from ...policy.error_text import error_text
from ...policy.plurals import counted
from ...policy.printable import printable
from .. import verbs
from ..each_database import Answers, is_of_several, read_databases
from ..rows import JOB_COLUMNS, as_json, as_lines, as_table
from ..verb_command import AddVerb, VerbCommand
from ..worker_options import job_id, positive_int
from .job_options import add_filter, job_filter


def add_job_verbs(add: AddVerb) -> None:
    """Add the verbs."""
    listing = add("list", print_jobs, "List jobs, newest first.")
    add_filter(listing)
    listing.add_argument(
        "--limit", type=positive_int, default=20, metavar="N", help="Maximum number of jobs (default 20)."
    )
    add("show", print_job, "Show one job with its attempts.").add_argument("id", type=job_id)


def print_jobs(command: VerbCommand, options: dict[str, Any]) -> None:
    """Print the newest jobs that the filter selects."""
    read = partial(verbs.list_jobs, **job_filter(options), limit=options["limit"])
    if is_of_several(command):
        _print_of_several(command, read_databases(read), options)
        return
    rows = read()
    command.stdout.write(as_json(rows) if options["json"] else as_table(rows, JOB_COLUMNS))


def _print_of_several(command: VerbCommand, answers: Answers[list[dict[str, Any]]], options: dict[str, Any]) -> None:
    """Print the newest jobs of several databases, in the order of their enqueue."""
    answers.check()
    jobs = [(alias, row) for alias, rows in answers.read.items() for row in rows]
    jobs.sort(key=lambda job: job[1]["enqueued_at"], reverse=True)
    newest = jobs[: options["limit"]]
    if options["json"]:
        grouped = {alias: [row for other, row in newest if other == alias] for alias in answers.read}
        command.stdout.write(as_json(replace(answers, read=grouped).as_rows()))
        return
    answers.print_down(command)
    command.stdout.write(as_table([row for _, row in newest], JOB_COLUMNS))


def print_job(command: VerbCommand, options: dict[str, Any]) -> None:
    """Print one job with its attempts and log."""
    row = verbs.show(options["id"])
    if options["json"]:
        command.stdout.write(as_json(row))
        return
    attempts, running = row.pop("attempts"), row.pop("log")
    command.print_lines(as_lines(row))
    for attempt in attempts:
        command.print_lines(f"\nattempt {attempt['number']}: {attempt['outcome']}")
        command.print_lines(f"  {attempt['started_at']} to {attempt['finished_at']} on {attempt['worker']}")
        if attempt["error_class"]:
            _print_error(command, attempt)
        _print_log(command, attempt["log"])
    if running is not None:
        command.print_lines("\nlogged so far:")
        _print_log(command, running)


def _print_error(command: VerbCommand, attempt: dict[str, Any]) -> None:
    """Print the traceback behind a bar: a line of the error's message must not look like one of this command."""
    error = attempt["traceback"] or printable(error_text(attempt["error_class"], attempt["error_message"]))
    command.print_lines(indent(error, "  | ", lambda _line: True))


def _print_log(command: VerbCommand, log: dict[str, Any] | None) -> None:
    for number, line in enumerate(log["lines"] if log else []):
        if log and log["omitted"] and number == log["head"]:
            command.print_lines(f"  ... {counted(log['omitted'], 'line')} omitted ...")
        message = f"{line['logger']}: {line['message']}" if line["logger"] else line["message"]
        command.print_lines(f"  {line['at']} {printable(line['level']):<7} {printable(message)}")
