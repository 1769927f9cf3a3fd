"""The state of the whole service: ``status``, ``health``, ``top`` and ``doctor`` of ``manage.py jobs``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any, TextIO, cast

from ...conf import get_settings
from ...conf.database import use_database
from ...policy.doctor import Severity
from ...policy.health import Health, combine_health
from ...policy.plurals import counted
from ...policy.printable import printable
from ...policy.states import State
from .. import verbs
from ..doctor import diagnose_databases, run_doctor
from ..each_database import Answers, is_of_several, read_databases
from ..rows import as_json, as_table
from ..top.run import as_interval, run_top
from ..verb_command import AddVerb, VerbCommand
from ..worker_options import positive_int


def add_service_verbs(add: AddVerb) -> None:
    """Add the verbs."""
    add("status", print_status, "Show queues, workers and open dead letters.")
    add(
        "health", print_health, "Exit with 0 if every queue is served in time, else print the reasons and exit with 1."
    ).add_argument(
        "--max-wait",
        type=positive_int,
        default=300,
        metavar="SECONDS",
        help="Longest time that a job may be ready before that is a problem (default 300).",
    )
    top = add(
        "top",
        show_top,
        "Show health, queues, running jobs, workers and errors, live in a terminal. Ends by q or Ctrl-C.",
    )
    top.add_argument(
        "--interval", default="2", metavar="SECONDS", help="Time between two reads (default 2; 0.1 to 3600)."
    )
    top.add_argument("--once", action="store_true", help="Print it once and exit.")
    top.add_argument("--plain", action="store_true", help="Without colours, although rich is installed.")
    add("doctor", print_findings, "Check tables, jobs and database for problems and print advice.")


def print_status(command: VerbCommand, options: dict[str, Any]) -> None:
    """Print health, queues, workers and open dead letters."""
    if is_of_several(command):
        _print_all(command, read_databases(verbs.status), is_json=options["json"])
        return
    status = verbs.status()
    if options["json"]:
        command.stdout.write(as_json(status))
    else:
        _print_one(command, status)


def _print_all(command: VerbCommand, answers: Answers[dict[str, Any]], *, is_json: bool) -> None:
    """Print the sums of several databases, then each of them."""
    answers.check()
    if is_json:
        command.stdout.write(as_json(answers.as_rows()))
        return
    answers.print_down(command)
    rows = [{"database": alias, **_sums(status)} for alias, status in answers.read.items()]
    total = {name: sum(row[name] for row in rows) for name in rows[0] if name != "database"}
    rows.append({"database": "without those that are down" if answers.down else "all", **total})
    command.print_lines(as_table(rows, list(rows[0])))
    for alias, status in answers.read.items():
        command.print_lines(f"\n-- database {alias} --\n")
        _print_one(command, status)


def _sums(status: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of jobs in each state, of workers and of open dead letters."""
    jobs = {state.value: sum(queue[state.value] for queue in status["queues"]) for state in State}
    return {**jobs, "workers": len(status["workers"]), "open_dead_letters": status["open_dead_letters"]}


def _print_one(command: VerbCommand, status: dict[str, Any]) -> None:
    for sentence in status["health"]:
        command.print_lines(printable(f"{sentence['severity']}: {sentence['text']}"))
    command.print_lines("")
    if status["queues"]:
        states = [state.value for state in State]
        rows = [{**row, "forecast": row["forecast"]["text"]} for row in status["queues"]]
        command.print_lines(as_table(rows, ["name", *states, "oldest_ready_at", "paused", "forecast"]))
    else:
        command.print_lines("no queues yet")
    command.print_lines("")
    if status["workers"]:
        columns = ["id", "hostname", "pid", "release", "state", "queues", "concurrency", "heartbeat_at"]
        command.print_lines(as_table(status["workers"], columns))
    else:
        command.print_lines("no workers are alive; start one with 'manage.py runworker'")
    if status["deploys"]:
        command.print_lines("")
        command.print_lines(as_table(status["deploys"], ["project", "release", "first_seen_at", "last_seen_at"]))
    command.print_lines(f"\n{counted(status['open_dead_letters'], 'open dead letter')}")


def print_health(command: VerbCommand, options: dict[str, Any]) -> None:
    """Print the problems of each database; exit with 1 if there are any, of several databases if each has some."""
    aliases = get_settings().aliases if command.database is None else (command.database,)
    health = combine_health({alias: _check(alias, options) for alias in aliases})
    if options["json"]:
        degraded = {"degraded": list(health.degraded)} if len(aliases) > 1 else {}
        command.stdout.write(as_json({"ok": not health.not_ready, "reasons": list(health.not_ready), **degraded}))
    else:
        lines = [*map(printable, health.not_ready), *(f"degraded: {printable(reason)}" for reason in health.degraded)]
        command.print_lines("\n".join(lines) or "healthy")
    if health.not_ready:
        sys.exit(1)


def _check(alias: str, options: dict[str, Any]) -> Health:
    with use_database(alias):
        return Health(not_live=(), not_ready=tuple(verbs.find_problems(wait_within=options["max_wait"])))


def show_top(command: VerbCommand, options: dict[str, Any]) -> None:
    """Show the live view, or print it once."""
    command.stdout.ending = ""
    run_top(
        cast("TextIO", command.stdout),
        interval=as_interval(options["interval"]),
        is_once=options["once"],
        is_plain=options["plain"],
        is_json=options["json"],
        is_of_several=is_of_several(command),
    )


def print_findings(command: VerbCommand, options: dict[str, Any]) -> None:
    """Print what the doctor finds; exit with 1 if there is a problem."""
    several = is_of_several(command)
    by_database = diagnose_databases() if several else {"": run_doctor()}
    named = [(alias, finding) for alias, findings in by_database.items() for finding in findings]
    named.sort(key=lambda one: one[1].severity is not Severity.PROBLEM)  # problems first, as in each
    findings = [finding for _, finding in named]
    problems = sum(finding.severity is Severity.PROBLEM for finding in findings)
    if options["json"]:
        rows = {alias: [asdict(finding) for finding in found] for alias, found in by_database.items()}
        command.stdout.write(as_json(rows if several else rows[""]))
    else:
        for alias, finding in named:
            place = f"database {alias!r}: " if several else ""
            what = printable(f"{place}{finding.about}: {finding.what}")
            command.stdout.write(f"{finding.severity:<8} {what}\n{'':8} -> {finding.advice}\n")
        hints = len(findings) - problems
        summary = f"{counted(problems, 'problem')}, {counted(hints, 'hint')}"
        command.print_lines(summary if findings else "no problems found")
    if problems:
        sys.exit(1)
