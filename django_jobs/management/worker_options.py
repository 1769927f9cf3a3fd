"""Command line of the worker, shared by ``runworker`` and ``jobs work``."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError
from functools import partial
from typing import Any, NoReturn

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError

from .. import registry
from ..conf import get_settings
from ..conf.database import check_database
from ..conf.readers import as_queue_name
from ..exceptions import ConfigurationError
from ..policy.job_ids import JobId, format_job_id, parse_job_id
from ..policy.printable import printable
from ..worker.options import POOLS, THREADS, WorkerOptions
from ..worker.process.run import supervise
from ..worker.system.console import log_to_terminal
from ..worker.threads.connections import use_own_connections

MAX_WEIGHT = 1_000


def add_worker_arguments(parser: ArgumentParser) -> None:
    """Add the worker's options to ``parser``."""
    parser.add_argument(
        "--queues",
        type=parse_queues,
        metavar="NAME,NAME",
        help="Serve only these queues (default: all, including later ones). With weights, as in NAME:3,NAME:1, claims"
        " are shared in that ratio; without, the highest priority of all queues is claimed first.",
    )
    parser.add_argument(
        "--databases",
        type=parse_databases,
        default=(),
        metavar="ALIAS,ALIAS",
        help="Serve only these of the databases of DJANGO_JOBS['DATABASES'] (default: all).",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="Claim from a queue only while those before it in --queues are empty; jobs of priority -100 come last"
        " all the same.",
    )
    parser.add_argument(
        "--concurrency",
        type=positive_int,
        default=4,
        metavar="N",
        help="Synchronous jobs run at once per process (default 4).",
    )
    parser.add_argument(
        "--pool",
        choices=POOLS,
        default=THREADS,
        help="Run jobs in threads of the worker process (default), or in job processes, one job at a time each, which"
        " isolates hangs and crashes in C code and memory leaks.",
    )
    parser.add_argument("--processes", type=positive_int, default=1, metavar="N", help="Worker processes (default 1).")
    parser.add_argument("--burst", action="store_true", help="Run ready and due jobs, then exit with code 0.")
    duty = parser.add_mutually_exclusive_group()
    duty.add_argument(
        "--no-scheduler", action="store_true", help="Run jobs only; schedules are fired by other processes."
    )
    duty.add_argument("--scheduler-only", action="store_true", help="Fire schedules only; run no jobs.")
    parser.add_argument(
        "--max-jobs", type=positive_int, metavar="N", help="Replace a process, or a job process, after N jobs."
    )
    parser.add_argument(
        "--max-memory-mb",
        type=positive_int,
        metavar="N",
        help="Replace a process, or a job process, that uses more than N megabytes.",
    )
    parser.add_argument("--reload", action="store_true", help="Restart the processes when code changes (development).")

    parser.add_argument(
        "--health-port",
        type=port_number,
        metavar="N",
        help="Serve /live, /ready and with METRICS /metrics over HTTP on this port; 0: any free port (default: off).",
    )
    parser.add_argument(
        "--health-address",
        default="127.0.0.1",
        metavar="IP",
        help="Address to listen on (default 127.0.0.1; use 0.0.0.0 in a container).",
    )


def run_workers(command: BaseCommand, options: dict[str, Any]) -> None:
    """Run workers with the parsed ``options`` of ``command``; exit with the supervisor's code unless it is 0.

    Migrations of the project that are not applied are printed once the database answers.
    """
    app: Any = apps.get_app_config("django_jobs")
    app.enable_loggers()  # a ready() of the project may have configured logging since
    log_to_terminal(options["verbosity"])
    use_own_connections()
    if options["burst"] and options["scheduler_only"]:
        raise CommandError("--burst runs jobs and fires no schedules; 'manage.py jobs tick' fires due schedules once")
    megabytes = options["max_memory_mb"]
    queues, weights = options["queues"] or (None, None)
    if options["strict"] and (queues is None or weights is not None):
        raise CommandError(
            "--strict serves queues in the order of --queues: expected --queues NAME,NAME without weights"
        )
    if options["scheduler_only"] and options["databases"]:
        raise CommandError("--scheduler-only fires the schedules, which are in one database: expected no --databases")
    chosen = WorkerOptions(
        databases=options["databases"],
        queues=queues,
        weights=weights,
        strict=options["strict"],
        pool=options["pool"],
        concurrency=options["concurrency"],
        processes=options["processes"],
        burst=options["burst"],
        works=not options["scheduler_only"],
        schedules=not options["no_scheduler"] and not options["burst"],
        max_jobs=options["max_jobs"],
        max_memory_bytes=None if megabytes is None else megabytes << 20,
        reload=options["reload"],
        health_port=options["health_port"],
        health_address=options["health_address"],
        verbosity=options["verbosity"],
    )

    def write(line: str) -> None:
        if options["verbosity"]:
            command.stdout.write(printable(line))
            command.stdout.flush()

    on_ready = partial(print_unapplied_migrations, no_color=options["no_color"], force_color=options["force_color"])
    try:
        code = supervise(chosen, say=write, on_ready=on_ready)
    except ConfigurationError as error:
        raise CommandError(str(error)) from error
    if code:
        sys.exit(code)


def print_unapplied_migrations(*, no_color: bool, force_color: bool) -> None:
    """Print which migrations of the project are not applied, as Django's commands do; in any process."""
    BaseCommand(no_color=no_color, force_color=force_color).check_migrations()


def positive_int(text: str) -> int:
    """Return ``text`` as a whole number of at least 1."""
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")


class NumberInDatabase(int):
    """The number of a job, or worker, that was given with its database, as ``eu:4711``."""

    database: str


def job_id(text: str) -> int:
    """Return the id of a job; ``text`` may be the id of a Task's result."""
    if text.isascii() and text.isdecimal():
        return int(text)
    settings = get_settings()
    if (given := parse_job_id(text, databases=settings.aliases)) is not None:
        return _number_in(given)
    if (found := registry.find_job_id(text)) is not None:
        return _number_in(found._replace(database=found.database or settings.database))
    raise ArgumentTypeError(f"expected the id of a job, such as {_example_id()}, or of a Task's result; got {text!r}")


def worker_id(text: str) -> int:
    """Return the id of a worker."""
    given = parse_job_id(text, databases=get_settings().aliases)
    if given is None:
        raise ArgumentTypeError(f"expected the id of a worker, such as {_example_id()}; got {text!r}")
    return _number_in(given)


def _number_in(given: JobId) -> int:
    if given.database is None:
        return given.number
    number = NumberInDatabase(given.number)
    number.database = given.database
    return number


def _example_id() -> int | str:
    settings = get_settings()
    return format_job_id(JobId(settings.aliases[-1] if settings.has_many_databases else None, 4711))


def port_number(text: str) -> int:
    """Return ``text`` as a TCP port, or 0."""
    if text.isdecimal() and int(text) < 65_536:
        return int(text)
    raise ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")


def parse_databases(text: str) -> tuple[str, ...]:
    """Return the aliases in a comma-separated list."""
    try:
        return tuple(dict.fromkeys(check_database("--databases", alias.strip()) for alias in text.split(",")))
    except ConfigurationError as error:
        raise ArgumentTypeError(str(error).removeprefix("--databases: ")) from None


def as_alias(text: str) -> str:
    """Return the alias of one of the jobs' databases."""
    return parse_databases(text)[0] if "," not in text else _refuse_list(text)


def _refuse_list(text: str) -> NoReturn:
    raise ArgumentTypeError(f"expected one alias, got {text!r}")


def parse_queues(text: str) -> tuple[tuple[str, ...], dict[str, int] | None]:
    """Return the names in a comma-separated list, and their weights if any is given as ``NAME:WEIGHT`` (default 1)."""
    weights: dict[str, int] = {}
    weighted = False
    for part in text.split(","):
        name, colon, weight = part.strip().rpartition(":")
        if colon and weight.isdecimal():
            weighted = True
            if not 1 <= int(weight) <= MAX_WEIGHT:
                raise ArgumentTypeError(f"expected a weight from 1 to {MAX_WEIGHT}, got {part.strip()!r}")
        else:
            name, weight = part.strip(), "1"
        try:
            weights.setdefault(as_queue_name("--queues", name), int(weight))
        except ConfigurationError as error:
            raise ArgumentTypeError(str(error).removeprefix("--queues: ")) from None
    return tuple(weights), weights if weighted else None
