"""``manage.py jobs VERB``: the operations of the admin in a shell."""

from __future__ import annotations

import sys
from argparse import SUPPRESS, ArgumentParser
from contextlib import nullcontext
from dataclasses import asdict
from textwrap import indent
from typing import Any, Literal, TextIO, cast

from django.core.management.base import CommandError

from ... import operations
from ...conf.database import use_database
from ...conf.readers import as_priority, as_queue_name
from ...management import verbs
from ...management.brokers import add_broker_arguments, print_brokers
from ...management.consume import add_replay_arguments, print_replay, run_consumers
from ...management.doctor import run_doctor
from ...management.rows import JOB_COLUMNS, SCHEDULE_COLUMNS, as_json, as_lines, as_table
from ...management.top.run import as_interval, run_top
from ...management.verb_command import VerbCommand
from ...management.worker_options import (
    NumberInDatabase,
    add_worker_arguments,
    as_alias,
    job_id,
    positive_int,
    run_workers,
)
from ...policy.doctor import Severity
from ...policy.error_text import error_text
from ...policy.plurals import counted
from ...policy.printable import printable, printable_lines
from ...policy.states import State
from ...store.search.optional_indexes import INDEX_NAMES

OF_ONE_DATABASE = (
    "status", "health", "top", "doctor", "list", "show", "stop-worker", "kill-worker", "prune", "index", "brokers"
)  # fmt: skip
"""Verbs that act on one database, besides those that change jobs and queues; schedules are in one of their own."""

Verb = Literal["retry", "purge", "move", "set_priority"]


class Command(VerbCommand):
    """Dispatches to one method per verb; each prints text, or JSON with ``--json``."""

    help = "Shows and manages background jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add = self.add_verb
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
        top = add(
            "top", "Show health, queues, running jobs, workers and errors, live in a terminal. Ends by q or Ctrl-C."
        )
        top.add_argument(
            "--interval", default="2", metavar="SECONDS", help="Time between two reads (default 2; 0.1 to 3600)."
        )
        top.add_argument("--once", action="store_true", help="Print it once and exit.")
        top.add_argument("--plain", action="store_true", help="Without colours, although rich is installed.")
        add("doctor", "Check tables, jobs and database for problems and print advice.")
        listing = add("list", "List jobs, newest first.")
        _add_filter(listing)
        listing.add_argument(
            "--limit", type=positive_int, default=20, metavar="N", help="Maximum number of jobs (default 20)."
        )
        add("show", "Show one job with its attempts.").add_argument("id", type=job_id)
        retry = add("retry", "Redrive dead jobs and run scheduled ones now, retries included.")
        cancel = add("cancel", "Cancel waiting jobs and request cancellation of running ones.")
        purge = add("purge", "Delete finished jobs.")
        move = add("move", "Move waiting jobs to another queue.")
        set_priority = add("set-priority", "Give waiting jobs another priority.")
        for changing in (retry, cancel, purge, move, set_priority):
            changing.add_argument("ids", type=job_id, nargs="*", metavar="ID")
            _add_filter(changing)
            changing.add_argument("--all", action="store_true", help="Select all jobs to which the verb applies.")
            changing.add_argument("--dry-run", action="store_true", help="Count the jobs and change nothing.")
        for with_priority in (retry, set_priority):
            with_priority.add_argument(
                "--priority",
                type=int,
                required=with_priority is set_priority,
                metavar="N",
                help="-100 to 100; higher runs first, -100 when no other job waits.",
            )
        move.add_argument("--to", required=True, metavar="QUEUE", help="The queue that they go to.")
        move.add_argument("--create", action="store_true", help="Allow a queue that nobody knows yet.")
        enqueue = add("enqueue", "Enqueue a job by name.")
        enqueue.add_argument("name")
        enqueue.add_argument("surplus", nargs="*", help=SUPPRESS)
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
        for creating in (pause, max_running):
            creating.add_argument("--create", action="store_true", help="Also if nobody knows a queue of that name.")
        max_running.add_argument("limit", help="A whole number, or 'none' for no limit.")
        stop = add("stop-worker", "Have a worker end once its running jobs have ended; no other takes its place.")
        kill = add("kill-worker", "End a worker at once: its running jobs are released, and another takes its place.")
        for with_worker in (stop, kill):
            with_worker.add_argument("id", type=positive_int)
        kill.add_argument("--job", type=job_id, metavar="ID", help="Cancel this running job of the worker instead.")
        add("schedules", "List schedules with their next and last tick.")
        add("tick", "Fire the due schedules once and exit, for hosts without a permanent process.")
        add("prune", "Delete everything older than its retention now.")
        index = add("index", "Create an optional index with which searches find jobs in the whole table.")
        index.add_argument("kind", choices=sorted(INDEX_NAMES), help="What to index; arguments: on PostgreSQL only.")
        index.add_argument("--drop", action="store_true", help="Drop it instead.")
        importing = add("import-django-tasks-db", "Move the tasks that wait in the table of django-tasks-db into jobs.")
        importing.add_argument("--dry-run", action="store_true", help="Count the tasks and change nothing.")
        importing = add("import-celery-beat", "Make schedules and jobs of the entries of django-celery-beat.")
        importing.add_argument("--dry-run", action="store_true", help="Say what would be made and change nothing.")
        importing.add_argument(
            "--database", default="default", metavar="ALIAS", help="Where its tables are (default: default)."
        )
        add_broker_arguments(add("brokers", "Show what waits to be sent to brokers, and how far sources are read."))
        consume = add("consume", "Read messages of brokers and make them jobs, until it is stopped.")
        consume.add_argument(
            "names",
            nargs="*",
            metavar="NAME",
            help="A broker, BROKER/SOURCE, or a job (default: all that is consumed).",
        )
        add_replay_arguments(consume)
        add_worker_arguments(add("work", "Run workers, as 'manage.py runworker' does."))

        for acting in (*OF_ONE_DATABASE, retry, cancel, purge, move, set_priority, enqueue, pause, resume, max_running):
            verb = self.verb_parsers()[acting] if isinstance(acting, str) else acting
            verb.add_argument(
                "--database",
                type=as_alias,
                metavar="ALIAS",
                help="Of several databases of jobs, the one to act on (default: the first).",
            )

    def handle(self, *, verb: str, **options: Any) -> None:
        act = getattr(self, f"_{verb.replace('-', '_')}")
        self.database = database = _named_database(options) if verb != "import-celery-beat" else None
        with nullcontext() if database is None else use_database(database):
            act(options)

    def _print(self, text: str) -> None:
        """Print text for a terminal. What a job, a row or a caller has chosen must not act there."""
        self.stdout.write(printable_lines(text))

    def _status(self, options: dict[str, Any]) -> None:
        status = verbs.status()
        if options["json"]:
            self.stdout.write(as_json(status))
            return
        for sentence in status["health"]:
            self._print(printable(f"{sentence['severity']}: {sentence['text']}"))
        self._print("")
        if status["queues"]:
            states = [state.value for state in State]
            rows = [{**row, "forecast": row["forecast"]["text"]} for row in status["queues"]]
            self._print(as_table(rows, ["name", *states, "oldest_ready_at", "paused", "forecast"]))
        else:
            self._print("no queues yet")
        self._print("")
        if status["workers"]:
            columns = ["id", "hostname", "pid", "release", "state", "queues", "concurrency", "heartbeat_at"]
            self._print(as_table(status["workers"], columns))
        else:
            self._print("no workers are alive; start one with 'manage.py runworker'")
        if status["deploys"]:
            self._print("")
            self._print(as_table(status["deploys"], ["project", "release", "first_seen_at", "last_seen_at"]))
        self._print(f"\n{counted(status['open_dead_letters'], 'open dead letter')}")

    def _health(self, options: dict[str, Any]) -> None:
        problems = verbs.find_problems(wait_within=options["max_wait"])
        if options["json"]:
            self.stdout.write(as_json({"ok": not problems, "reasons": problems}))
        else:
            self._print("\n".join(map(printable, problems)) or "healthy")
        if problems:
            sys.exit(1)

    def _top(self, options: dict[str, Any]) -> None:
        self.stdout.ending = ""
        run_top(
            cast("TextIO", self.stdout),
            interval=as_interval(options["interval"]),
            is_once=options["once"],
            is_plain=options["plain"],
            is_json=options["json"],
        )

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
            summary = f"{counted(problems, 'problem')}, {counted(hints, 'hint')}"
            self._print(summary if findings else "no problems found")
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
        error = attempt["traceback"] or printable(error_text(attempt["error_class"], attempt["error_message"]))
        self._print(indent(error, "  | ", lambda _line: True))

    def _print_log(self, log: dict[str, Any] | None) -> None:
        for number, line in enumerate(log["lines"] if log else []):
            if log and log["omitted"] and number == log["head"]:
                self._print(f"  ... {counted(log['omitted'], 'line')} omitted ...")
            message = f"{line['logger']}: {line['message']}" if line["logger"] else line["message"]
            self._print(f"  {line['at']} {printable(line['level']):<7} {printable(message)}")

    def _retry(self, options: dict[str, Any]) -> None:
        self._change(options, "retry", "retried", **_priority(options))

    def _cancel(self, options: dict[str, Any]) -> None:
        result = verbs.cancel_jobs(dry_run=options["dry_run"], **self._selected(options))
        if options["json"]:
            self.stdout.write(as_json({**result._asdict(), "dry_run": options["dry_run"]}))
            return
        would_be = "would be " if options["dry_run"] else ""
        text = f"{counted(result.cancelled, 'job')} {would_be}cancelled"
        if result.requested:
            text += f", cancellation of {counted(result.requested, 'running job')} {would_be}requested"
        self._print(text)

    def _purge(self, options: dict[str, Any]) -> None:
        self._change(options, "purge", "purged")

    def _move(self, options: dict[str, Any]) -> None:
        to = verbs.check_queue(options["to"], create=options["create"])
        self._change(options, "move", "moved", f" to queue {to}", to=to)

    def _set_priority(self, options: dict[str, Any]) -> None:
        priority = _priority(options)
        self._change(options, "set_priority", "changed", f" to priority {priority['priority']}", **priority)

    def _change(self, options: dict[str, Any], verb: Verb, past: str, where: str = "", **change: Any) -> None:
        changed = verbs.change_jobs(verb, dry_run=options["dry_run"], change=change, **self._selected(options))
        if options["json"]:
            self.stdout.write(as_json({past: changed, "dry_run": options["dry_run"]}))
        else:
            self._print(f"{counted(changed, 'job')} {'would be ' if options['dry_run'] else ''}{past}{where}")

    def _selected(self, options: dict[str, Any]) -> dict[str, Any]:
        selected = {"ids": options["ids"], **_filter(options)}
        if not any(selected.values()) and not options["all"]:
            raise CommandError("expected ids, --state, --queue, --name or --all")
        return selected

    def _enqueue(self, options: dict[str, Any]) -> None:
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
        self.stdout.write(
            as_json(row) if options["json"] else f"job {row['id']} ({row['name']}) is {already}{row['state']}"
        )

    def _pause(self, options: dict[str, Any]) -> None:
        queue = as_queue_name("queue", options["queue"])
        if not options["create"]:
            verbs.require_queue(queue)
        changed = operations.pause(queue, by=verbs.actor())
        self._print_queue(options, "paused", changed)

    def _resume(self, options: dict[str, Any]) -> None:
        self._print_queue(options, "resumed", operations.resume(options["queue"]))

    def _max_running(self, options: dict[str, Any]) -> None:
        queue = as_queue_name("queue", options["queue"])
        if not options["create"]:
            verbs.require_queue(queue)
        limit = verbs.set_max_running(queue, options["limit"])
        if options["json"]:
            self.stdout.write(as_json({"queue": queue, "max_running": limit}))
        else:
            rule = "no limit" if limit is None else f"at most {counted(limit, 'running job')}"
            self._print(f"queue {queue}: {rule}")

    def _print_queue(self, options: dict[str, Any], past: str, changed: bool) -> None:
        if options["json"]:
            self.stdout.write(as_json({past: options["queue"] if changed else None}))
        else:
            self._print(f"queue {options['queue']} {'is' if changed else 'was already'} {past}")

    def _stop_worker(self, options: dict[str, Any]) -> None:
        verbs.stop_worker(options["id"])
        self._print_worker(options, "stop_requested", "ends once its running jobs have ended")

    def _kill_worker(self, options: dict[str, Any]) -> None:
        verbs.kill_worker(options["id"], blamed=options["job"])
        self._print_worker(options, "kill_requested", "ends at its next heartbeat, and its running jobs are released")

    def _print_worker(self, options: dict[str, Any], past: str, text: str) -> None:
        self.stdout.write(as_json({past: options["id"]}) if options["json"] else f"worker {options['id']} {text}")

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
        self.stdout.write(as_json({"pruned": deleted}) if options["json"] else f"{counted(deleted, 'job')} pruned")

    def _index(self, options: dict[str, Any]) -> None:
        changed = verbs.change_index(options["kind"], drop=options["drop"])
        past = "dropped" if options["drop"] else "created"
        if options["json"]:
            self.stdout.write(as_json({past: options["kind"] if changed else None}))
        else:
            self._print(f"the index of {options['kind']} {'is' if changed else 'was already'} {past}")

    def _import_django_tasks_db(self, options: dict[str, Any]) -> None:
        imported, dry_run = verbs.import_django_tasks_db(dry_run=options["dry_run"]), options["dry_run"]
        if options["json"]:
            self.stdout.write(as_json({**imported, "dry_run": dry_run}))
            return
        self._print(f"{counted(imported['moved'], 'task')} {'would be ' if dry_run else ''}moved")
        for path, number in imported["left"].items():
            self._print(f"{number} left: {path} is no Task of a backend of django_jobs")

    def _import_celery_beat(self, options: dict[str, Any]) -> None:
        dry_run = options["dry_run"]
        imported = verbs.import_celery_beat(database=options["database"], dry_run=dry_run)
        if options["json"]:
            self.stdout.write(as_json({**imported, "dry_run": dry_run}))
        else:
            made = f"{counted(len(imported['schedules']), 'schedule')} and {counted(len(imported['jobs']), 'job')}"
            self._print(f"{made} {'would be ' if dry_run else ''}made; {len(imported['present'])} here already")
            for name, reason in imported["not_needed"].items():
                self._print(f"not needed: {name}: {reason}")
            for name, reason in imported["left"].items():
                self._print(f"left: {name}: {reason}")
        if imported["left"]:
            sys.exit(1)

    def _brokers(self, options: dict[str, Any]) -> None:
        print_brokers(self, options)

    def _consume(self, options: dict[str, Any]) -> None:
        if options["replay"]:
            print_replay(self, options)
        else:
            run_consumers(self, options)

    def _work(self, options: dict[str, Any]) -> None:
        run_workers(self, options)


def _priority(options: dict[str, Any]) -> dict[str, Any]:
    return {"priority": None if options["priority"] is None else as_priority("--priority", options["priority"])}


def _named_database(options: dict[str, Any]) -> str | None:
    """Return the database of ``--database``, or of ids such as ``eu:4711``. Raises CommandError for two."""
    ids = [options.get("id"), options.get("job"), *(options.get("ids") or ())]
    named = [given.database for given in ids if isinstance(given, NumberInDatabase)]
    if options.get("database") is not None:
        named.append(options["database"])
    if other := next((alias for alias in named if alias != named[0]), None):
        raise CommandError(f"expected jobs of one database, got {named[0]!r} and {other!r}")
    return named[0] if named else None


def _add_filter(parser: ArgumentParser) -> None:
    parser.add_argument("--state", choices=[state.value for state in State])
    parser.add_argument("--queue", metavar="NAME")
    parser.add_argument("--name", metavar="JOB", help="Name of the job.")


def _filter(options: dict[str, Any]) -> dict[str, Any]:
    return {"state": options["state"], "queue_name": options["queue"], "name": options["name"]}
