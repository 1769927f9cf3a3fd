"""``manage.py jobs VERB``: from a shell, what staff do in the admin."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ...conf.readers import as_priority, as_queue_name
from ...exceptions import JobsError
from ...management import verbs
from ...management.doctor import run_doctor
from ...management.rows import JOB_COLUMNS, SCHEDULE_COLUMNS, as_json, as_lines, as_table
from ...management.working import add_worker_arguments, positive_int, run_workers
from ...policy.doctor import Severity
from ...policy.states import State


class Command(BaseCommand):
    """Dispatches to one method a verb; each prints text, or JSON with ``--json``."""

    help = "Shows and manages background jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs_ = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

        def add(verb: str, text: str) -> ArgumentParser:
            added: ArgumentParser = verbs_.add_parser(verb, help=text, description=text)
            added.add_argument("--json", action="store_true", help="Print JSON.")
            return added

        add("status", "Show queues, workers and open dead letters.")
        add(
            "health", "Exit with 0 where every queue is worked off, with 1 and the reasons where not."
        ).add_argument(
            "--max-wait",
            type=positive_int,
            default=300,
            metavar="SECONDS",
            help="How long a job may be ready before that is a problem (300).",
        )
        add("doctor", "Find what is wrong with the tables, the jobs and the database, and say what to do.")
        listing = add("list", "List jobs, the newest first.")
        _add_filter(listing)
        listing.add_argument(
            "--limit", type=positive_int, default=20, metavar="N", help="At most so many (20)."
        )
        add("show", "Show one job with all its tries.").add_argument("id", type=int)
        retry = add("retry", "Run dead jobs again with all their tries, and waiting retries now.")
        cancel = add("cancel", "Cancel jobs that wait, ask jobs that run to end.")
        purge = add("purge", "Delete jobs that have ended.")
        for chosen in (retry, cancel, purge):
            chosen.add_argument("ids", type=int, nargs="*", metavar="ID")
            _add_filter(chosen)
            chosen.add_argument("--all", action="store_true", help="All jobs to which the verb applies.")
            chosen.add_argument("--dry-run", action="store_true", help="Only say how many.")
        enqueue = add("enqueue", "Enqueue a job by its name.")
        enqueue.add_argument("name")
        enqueue.add_argument(
            "--arguments", default="{}", metavar="JSON", help="Keywords, such as '{\"user_id\": 7}'."
        )
        enqueue.add_argument("--queue", metavar="NAME")
        enqueue.add_argument("--priority", type=int, metavar="N")
        enqueue.add_argument("--delay", type=float, metavar="SECONDS")
        enqueue.add_argument(
            "--expires", type=float, metavar="SECONDS", help="Cancel it if it has not begun by then."
        )
        pause = add("pause", "Pause a queue: nothing of it is taken, what runs goes on.")
        resume = add("resume", "Resume a paused queue.")
        cap = add("cap", "Let so many of a queue's jobs run at once, over all workers.")
        for one in (pause, resume, cap):
            one.add_argument("queue")
        cap.add_argument("limit", help="A whole number, or 'none' for no limit.")
        add("schedules", "List the schedules: when, what, next and last.")
        add("tick", "Fire what schedules have due, once, and exit: for hosts where no process stays.")
        add("prune", "Delete what ended longer ago than RETENTION allows, now.")
        add_worker_arguments(add("work", "Run workers, as 'manage.py runworker' does."))

    def handle(self, *, verb: str, **options: Any) -> None:
        try:
            getattr(self, f"_{verb}")(options)
        except JobsError as error:
            raise CommandError(str(error)) from error

    def _status(self, options: dict[str, Any]) -> None:
        status = verbs.status()
        if options["json"]:
            self.stdout.write(as_json(status))
            return
        if status["queues"]:
            states = [state.value for state in State]
            self.stdout.write(as_table(status["queues"], ["name", *states, "oldest_ready_at", "paused"]))
        else:
            self.stdout.write("no queue has had a job yet")
        self.stdout.write("")
        if status["workers"]:
            columns = ["id", "hostname", "pid", "state", "queues", "concurrency", "heartbeat_at"]
            self.stdout.write(as_table(status["workers"], columns))
        else:
            self.stdout.write("no worker is alive; start one by 'manage.py runworker'")
        self.stdout.write(f"\n{status['open_dead_letters']} open dead letters")

    def _health(self, options: dict[str, Any]) -> None:
        problems = verbs.find_problems(wait_within=options["max_wait"])
        if options["json"]:
            self.stdout.write(as_json({"ok": not problems, "reasons": problems}))
        else:
            self.stdout.write("\n".join(problems) or "healthy")
        if problems:
            sys.exit(1)

    def _doctor(self, options: dict[str, Any]) -> None:
        findings = run_doctor()
        problems = sum(one.severity is Severity.PROBLEM for one in findings)
        if options["json"]:
            self.stdout.write(as_json([asdict(one) for one in findings]))
        else:
            for one in findings:
                self.stdout.write(f"{one.severity:<8} {one.about}: {one.what}\n{'':8} -> {one.advice}\n")
            hints = len(findings) - problems
            self.stdout.write(f"{problems} problems, {hints} hints" if findings else "nothing is wrong")
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
        self.stdout.write(as_lines(row))
        for attempt in attempts:
            self.stdout.write(f"\ntry {attempt['number']}: {attempt['outcome']}")
            self.stdout.write(f"  {attempt['started_at']} to {attempt['finished_at']} on {attempt['worker']}")
            if attempt["error_class"]:
                self.stdout.write(
                    attempt["traceback"] or f"{attempt['error_class']}: {attempt['error_message']}"
                )
            self._print_log(attempt["log"])
        if running is not None:
            self.stdout.write("\nlogged so far:")
            self._print_log(running)

    def _print_log(self, log: dict[str, Any] | None) -> None:
        for number, line in enumerate(log["lines"] if log else []):
            if log and log["omitted"] and number == log["head"]:
                self.stdout.write(f"  ... {log['omitted']} lines left out ...")
            said = f"{line['logger']}: {line['message']}" if line["logger"] else line["message"]
            self.stdout.write(f"  {line['at']} {line['level']:<7} {said}")

    def _retry(self, options: dict[str, Any]) -> None:
        self._change(options, "retried")

    def _cancel(self, options: dict[str, Any]) -> None:
        counts = verbs.cancel_jobs(dry_run=options["dry_run"], **self._selected(options))
        if options["json"]:
            self.stdout.write(as_json({**counts._asdict(), "dry_run": options["dry_run"]}))
            return
        would_be = "would be " if options["dry_run"] else ""
        asked = f", {counts.asked} {would_be}asked to end" if counts.asked else ""
        self.stdout.write(f"{counts.cancelled} jobs {would_be}cancelled{asked}")

    def _purge(self, options: dict[str, Any]) -> None:
        self._change(options, "purged")

    def _change(self, options: dict[str, Any], past: str) -> None:
        changed = verbs.apply_verb(past, dry_run=options["dry_run"], **self._selected(options))
        if options["json"]:
            self.stdout.write(as_json({past: changed, "dry_run": options["dry_run"]}))
        else:
            self.stdout.write(f"{changed} jobs {'would be ' if options['dry_run'] else ''}{past}")

    def _selected(self, options: dict[str, Any]) -> dict[str, Any]:
        chosen = {"ids": options["ids"], **_filter(options)}
        if not any(chosen.values()) and not options["all"]:
            raise CommandError("say which: ids, --state, --queue, --name or --all")
        return chosen

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
        changed = verbs.pause_queue(as_queue_name("queue", options["queue"]))
        self._print_queue(options, "paused", changed)

    def _resume(self, options: dict[str, Any]) -> None:
        self._print_queue(options, "resumed", verbs.resume_queue(options["queue"]))

    def _cap(self, options: dict[str, Any]) -> None:
        queue = as_queue_name("queue", options["queue"])
        limit = verbs.cap_queue(queue, options["limit"])
        if options["json"]:
            self.stdout.write(as_json({"queue": queue, "max_running": limit}))
        else:
            self.stdout.write(f"queue {queue}: {'no limit' if limit is None else f'at most {limit} at once'}")

    def _print_queue(self, options: dict[str, Any], past: str, changed: bool) -> None:
        if options["json"]:
            self.stdout.write(as_json({past: options["queue"] if changed else None}))
        else:
            self.stdout.write(f"queue {options['queue']} {'is' if changed else 'was already'} {past}")

    def _schedules(self, options: dict[str, Any]) -> None:
        rows = verbs.list_schedules()
        if options["json"]:
            self.stdout.write(as_json(rows))
        else:
            self.stdout.write(as_table(rows, SCHEDULE_COLUMNS) if rows else "there is no schedule")
            for row in rows:
                if row["problem"]:
                    self.stdout.write(f"{row['name']} cannot fire: {row['problem']}")

    def _tick(self, options: dict[str, Any]) -> None:
        ticked = verbs.tick_once()
        counts = {outcome: getattr(ticked, outcome) for outcome in ("fired", "waiting", "skipped", "missed")}
        if options["json"]:
            self.stdout.write(as_json({**counts, "problems": list(ticked.problems)}))
        else:
            self.stdout.write(", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
        for problem in ticked.problems:
            self.stderr.write(f"cannot fire: {problem}")

    def _prune(self, options: dict[str, Any]) -> None:
        deleted = verbs.prune_now()
        self.stdout.write(as_json({"pruned": deleted}) if options["json"] else f"{deleted} jobs pruned")

    def _work(self, options: dict[str, Any]) -> None:
        run_workers(options, self.stdout)


def _add_filter(parser: ArgumentParser) -> None:
    parser.add_argument("--state", choices=[state.value for state in State])
    parser.add_argument("--queue", metavar="NAME")
    parser.add_argument("--name", metavar="JOB", help="The job's name.")


def _filter(options: dict[str, Any]) -> dict[str, Any]:
    return {"state": options["state"], "queue_name": options["queue"], "name": options["name"]}
