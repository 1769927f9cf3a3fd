"""``manage.py jobs consume``: read messages until a signal stops it, or replay a range of them."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ..brokers.consuming import consume, select_consumptions
from ..brokers.replaying import ReplayRange, replay
from ..policy.plurals import counted
from ..policy.printable import printable
from ..worker.system.console import log_to_terminal
from .rows import as_json

RANGE_OPTIONS = ("since", "until", "partition", "from", "to", "dry_run")


def add_consume_arguments(parser: ArgumentParser) -> None:
    """Add what to read, and the options of a replay."""
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="A broker, BROKER/SOURCE, or a job (default: all that is consumed).")
    add("--replay", action="store_true", help="Enqueue a range of one log again, and exit; its position stays.")
    add("--since", type=_instant, metavar="TIME", help="With --replay: messages from this time on (ISO 8601).")
    add("--until", type=_instant, metavar="TIME", help="With --replay: messages before this time.")
    add("--partition", metavar="NAME", help="With --replay: this partition only.")
    add("--from", metavar="POSITION", help="With --partition: from this position on.")
    add("--to", metavar="POSITION", help="With --partition: before this position.")
    add("--dry-run", action="store_true", help="With --replay: count the messages and enqueue nothing.")


def run_consume(command: BaseCommand, options: dict[str, Any]) -> None:
    """Read sources until a signal stops it, or replay a range of one."""
    if options["replay"]:
        _print_replay(command, options)
    else:
        _run_consumers(command, options)


def _run_consumers(command: BaseCommand, options: dict[str, Any]) -> None:
    """Read the sources that are named; exit with 1 if a thread has died. Raises ConfigurationError, CommandError."""
    if wrong := [name for name in RANGE_OPTIONS if options[name]]:
        raise CommandError(f"--{wrong[0].replace('_', '-')} belongs to --replay")
    selected = select_consumptions(options["names"])
    if not selected:
        raise CommandError("no job has @consumes(...) for a broker; see docs/how-to/consume.md")
    log_to_terminal(options["verbosity"])

    def write(line: str) -> None:
        if options["verbosity"]:
            command.stdout.write(printable(line))
            command.stdout.flush()

    if code := consume(selected, say=write):
        sys.exit(code)


def _print_replay(command: BaseCommand, options: dict[str, Any]) -> None:
    """Replay one source and print how many jobs that made. Raises ConfigurationError, CommandError."""
    selected = select_consumptions(options["names"]) if options["names"] else []
    if len(selected) != 1:
        known = ", ".join(one.label for one in select_consumptions([])) or "none"
        raise CommandError(f"--replay: expected the name of one source, got {len(selected)}; known are {known}")
    if (options["from"] or options["to"]) and not options["partition"]:
        raise CommandError("--from and --to are positions of one --partition; --since and --until are times of all")
    wanted = ReplayRange(
        since=options["since"],
        until=options["until"],
        partition=options["partition"],
        start=options["from"],
        end=options["to"],
    )
    replayed = replay(selected[0], wanted, dry_run=options["dry_run"])
    if options["json"]:
        command.stdout.write(as_json({**asdict(replayed), "dry_run": options["dry_run"]}))
        return
    would_be = "would be " if options["dry_run"] else ""
    command.stdout.write(f"{counted(replayed.jobs, 'job')} {would_be}enqueued again")
    if replayed.poison:
        command.stdout.write(f"{counted(replayed.poison, 'message')} cannot become a job")
    for partition, (start, end) in sorted(replayed.ranges.items()):
        command.stdout.write(printable(f"partition {partition}: from {start} to {end}"))


def _instant(text: str) -> datetime:
    try:
        instant = parse_datetime(text)
    except ValueError:
        instant = None
    if instant is None:
        raise ArgumentTypeError(f"expected a time such as 2026-11-01T08:00 or 2026-11-01T08:00Z, got {text!r}")
    return timezone.make_aware(instant) if timezone.is_naive(instant) else instant
