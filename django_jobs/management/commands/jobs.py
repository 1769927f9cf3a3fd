"""``manage.py jobs VERB``: the operations of the admin in a shell."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from dataclasses import asdict
from textwrap import indent
from typing import Any, Literal

from django.core.management.base import BaseCommand, CommandError

from ... import operations
from ...conf.readers import as_priority, as_queue_name
from ...exceptions import JobsError
from ...management import verbs
from ...management.doctor import run_doctor
from ...management.rows import JOB_COLUMNS, SCHEDULE_COLUMNS, as_json, as_lines, as_table
from ...management.worker_options import add_worker_arguments, positive_int, run_workers
from ...policy.doctor import Severity
from ...policy.printable import printable, printable_lines
from ...policy.states import State


class Command(BaseCommand):
    """Dispatches to one method per verb; each prints text, or JSON with ``--json``."""

    help = "Shows and manages background jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs_ = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

        def add(verb: str, text: str) -> ArgumentParser:
            added: ArgumentParser = verbs_.add_parser(verb, help=text, description=text)
            added.add_argument("--json", action="store_true", help="Print JSON.")
            return added

        add("status", "Show queues, workers and open dead letters.")
        add(
            "health", "Exit with 0 if every queue is served in time, else print the reasons and exit with 1."
        ).add_argument(
            "--max-wait",
            type=positive_int,
            default=300,
            metavar="SECONDS",
            help="Longest time that a job may be ready before that is a problem (default 300).",
        )
        add("doctor", "Check tables, jobs and database for problems and print advice.")
        listing = add("list", "List jobs, newest first.")
        _add_filter(listing)
        listing.add_argument(
            "--limit", type=positive_int, default=20, metavar="N", help="Maximum number of jobs (default 20)."
        )
        add("show", "Show one job with its attempts.").add_argument("id", type=int)
        retry = add("retry", "Redrive dead jobs and run scheduled ones now, retries included.")
        cancel = add("cancel", "Cancel waiting jobs and request cancellation of running ones.")
        purge = add("purge", "Delete finished jobs.")
        for changing in (retry, cancel, purge):
            changing.add_argument("ids", type=int, nargs="*", metavar="ID")
            _add_filter(changing)
            changing.add_argument("--all", action="store_true", help="Select all jobs to which the verb applies.")
            changing.add_argument("--dry-run", action="store_true", help="Count the jobs and change nothing.")
        enqueue = add("enqueue", "Enqueue a job by name.")
        enqueue.add_argument("name")
        enqueue.add_argument(
            "--arguments", default="{}", metavar="JSON", help="Keyword arguments, such as '{\"user_id\": 7}'."
        )
        enqueue.add_argument("--queue", metavar="NAME")
        enqueue.add_argument("--priority", type=int, metavar="N")
        enqueue.add_argument("--delay", type=float, metavar="SECONDS")
        enqueue.add_argument(
            "--expires", type=float, metavar="SECONDS", help="Cancel it if it has not started by then."
        )
        pause = add("pause", "Pause a queue: none of its jobs is claimed, running ones go on.")
        resume = add("resume", "Resume a paused queue.")
        max_running = add("max-running", "Limit the running jobs of a queue over all workers.")
        for with_queue in (pause, resume, max_running):
            with_queue.add_argument("queue")
        max_running.add_argument("limit", help="A whole number, or 'none' for no limit.")
        add("schedules", "List schedules with their next and last tick.")
        add("tick", "Fire the due schedules once and exit, for hosts without a permanent process.")
        add("prune", "Delete everything older than its retention now.")
        add_worker_arguments(add("work", "Run workers, as 'manage.py runworker' does."))

    def handle(self, *, verb: str, **options: Any) -> None:
        try:
            getattr(self, f"_{verb.replace('-', '_')}")(options)
        except JobsError as error:
            raise CommandError(printable_lines(str(error))) from error

    def _print(self, text: str) -> None:
        """Print text for a terminal. What a job, a row or a caller has chosen must not act there."""
        self.stdout.write(printable_lines(text))

    def _status(self, options: dict[str, Any]) -> None:
        status = verbs.status()
        if options["json"]:
            self.stdout.write(as_json(status))
            return
        if status["queues"]:
            states = [state.value for state in State]
            self._print(as_table(status["queues"], ["name", *states, "oldest_ready_at", "paused"]))
        else:
            self._print("no queues yet")
        self._print("")
        if status["workers"]:
            columns = ["id", "hostname", "pid", "state", "queues", "concurrency", "heartbeat_at"]
            self._print(as_table(status["workers"], columns))
        else:
            self._print("no workers are alive; start one with 'manage.py runworker'")
        self._print(f"\n{status['open_dead_letters']} open dead letters")

    def _health(self, options: dict[str, Any]) -> None:
        problems = verbs.find_problems(wait_within=options["max_wait"])
        if options["json"]:
            self.stdout.write(as_json({"ok": not problems, "reasons": problems}))
        else:
            self._print("\n".join(map(printable, problems)) or "healthy")
        if problems:
            sys.exit(1)

    def _doctor(self, options: dict[str, Any]) -> None:
        findings = run_doctor()
        problems = sum(finding.severity is Severity.PROBLEM for finding in findings)
        if options["json"]:
            self.stdout.write(as_json([asdict(finding) for finding in findings]))
        else:
            for finding in findings:
                what = printable(f"{finding.about}: {finding.what}")
                self.stdout.write(f"{finding.severity:<8} {what}\n{'':8} -> {finding.advice}\n")
            hints = len(findings) - problems
            self._print(f"{problems} problems, {hints} hints" if findings else "no problems found")
        if problems:
            sys.exit(1)

    def _list(self, options: dict[str, Any]) -> None:
        rows = verbs.list_jobs(**_filter(options), limit=options["limit"])
        self.stdout.write(as_json(rows) if options["json"] else as_table(rows, JOB_COLUMNS))

    def _show(self, options: dict[str, Any]) -> None:
        row = verbs.show(options["id"])
        if options["json"]:
            self.stdout.write(as_json(row))
            return
        attempts, running = row.pop("attempts"), row.pop("log")
        self._print(as_lines(row))
        for attempt in attempts:
            self._print(f"\nattempt {attempt['number']}: {attempt['outcome']}")
            self._print(f"  {attempt['started_at']} to {attempt['finished_at']} on {attempt['worker']}")
            if attempt["error_class"]:
                self._print_error(attempt)
            self._print_log(attempt["log"])
        if running is not None:
            self._print("\nlogged so far:")
            self._print_log(running)

    def _print_error(self, attempt: dict[str, Any]) -> None:
        """Print the traceback behind a bar: a line of the error's message must not look like one of this command."""
        error = attempt["traceback"] or printable(f"{attempt['error_class']}: {attempt['error_message']}")
        self._print(indent(error, "  | ", lambda _line: True))

    def _print_log(self, log: dict[str, Any] | None) -> None:
        for number, line in enumerate(log["lines"] if log else []):
            if log and log["omitted"] and number == log["head"]:
                self._print(f"  ... {log['omitted']} lines omitted ...")
            message = f"{line['logger']}: {line['message']}" if line["logger"] else line["message"]
            self._print(f"  {line['at']} {printable(line['level']):<7} {printable(message)}")

    def _retry(self, options: dict[str, Any]) -> None:
        self._change(options, "retry", "retried")

    def _cancel(self, options: dict[str, Any]) -> None:
        result = verbs.cancel_jobs(dry_run=options["dry_run"], **self._selected(options))
        if options["json"]:
            self.stdout.write(as_json({**result._asdict(), "dry_run": options["dry_run"]}))
            return
        would_be = "would be " if options["dry_run"] else ""
        text = f"{result.cancelled} jobs {would_be}cancelled"
        if result.requested:
            text += f", cancellation of {result.requested} running jobs {would_be}requested"
        self._print(text)

    def _purge(self, options: dict[str, Any]) -> None:
        self._change(options, "purge", "purged")

    def _change(self, options: dict[str, Any], verb: Literal["retry", "purge"], past: str) -> None:
        changed = verbs.change_jobs(verb, dry_run=options["dry_run"], **self._selected(options))
        if options["json"]:
            self.stdout.write(as_json({past: changed, "dry_run": options["dry_run"]}))
        else:
            self._print(f"{changed} jobs {'would be ' if options['dry_run'] else ''}{past}")

    def _selected(self, options: dict[str, Any]) -> dict[str, Any]:
        selected = {"ids": options["ids"], **_filter(options)}
        if not any(selected.values()) and not options["all"]:
            raise CommandError("expected ids, --state, --queue, --name or --all")
        return selected

    def _enqueue(self, options: dict[str, Any]) -> None:
        row = verbs.enqueue(
            options["name"],
            options["arguments"],
            queue_name=None if options["queue"] is None else as_queue_name("--queue", options["queue"]),
            priority=None if options["priority"] is None else as_priority("--priority", options["priority"]),
            delay_seconds=options["delay"],
            expires_seconds=options["expires"],
        )
        already = "already " if row["is_duplicate"] else ""
        self.stdout.write(
            as_json(row) if options["json"] else f"job {row['id']} ({row['name']}) is {already}{row['state']}"
        )

    def _pause(self, options: dict[str, Any]) -> None:
        changed = operations.pause(as_queue_name("queue", options["queue"]), by=verbs.actor())
        self._print_queue(options, "paused", changed)

    def _resume(self, options: dict[str, Any]) -> None:
        self._print_queue(options, "resumed", operations.resume(options["queue"]))

    def _max_running(self, options: dict[str, Any]) -> None:
        queue = as_queue_name("queue", options["queue"])
        limit = verbs.set_max_running(queue, options["limit"])
        if options["json"]:
            self.stdout.write(as_json({"queue": queue, "max_running": limit}))
        else:
            self._print(f"queue {queue}: {'no limit' if limit is None else f'at most {limit} running jobs'}")

    def _print_queue(self, options: dict[str, Any], past: str, changed: bool) -> None:
        if options["json"]:
            self.stdout.write(as_json({past: options["queue"] if changed else None}))
        else:
            self._print(f"queue {options['queue']} {'is' if changed else 'was already'} {past}")

    def _schedules(self, options: dict[str, Any]) -> None:
        rows = verbs.list_schedules()
        if options["json"]:
            self.stdout.write(as_json(rows))
        else:
            self._print(as_table(rows, SCHEDULE_COLUMNS) if rows else "no schedules")
            for row in rows:
                if row["problem"]:
                    self._print(f"{printable(row['name'])} does not fire: {printable(row['problem'])}")

    def _tick(self, options: dict[str, Any]) -> None:
        ticked = verbs.tick_once()
        counts = {outcome: getattr(ticked, outcome) for outcome in ("fired", "waiting", "skipped", "missed")}
        if options["json"]:
            self.stdout.write(as_json({**counts, "problems": list(ticked.problems)}))
        else:
            self._print(", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
        for problem in ticked.problems:
            self.stderr.write(f"does not fire: {printable(problem)}")

    def _prune(self, options: dict[str, Any]) -> None:
        deleted = operations.prune()
        self.stdout.write(as_json({"pruned": deleted}) if options["json"] else f"{deleted} jobs pruned")

    def _work(self, options: dict[str, Any]) -> None:
        run_workers(options, self.stdout)


def _add_filter(parser: ArgumentParser) -> None:
    parser.add_argument("--state", choices=[state.value for state in State])
    parser.add_argument("--queue", metavar="NAME")
    parser.add_argument("--name", metavar="JOB", help="Name of the job.")


def _filter(options: dict[str, Any]) -> dict[str, Any]:
    return {"state": options["state"], "queue_name": options["queue"], "name": options["name"]}
