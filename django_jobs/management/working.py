"""The worker's command line, shared by ``runworker`` and ``jobs work``."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from ..conf.readers import as_queue_name
from ..exceptions import ConfigurationError
from ..worker.console import log_to_terminal
from ..worker.options import POOLS, THREADS, WorkerOptions
from ..worker.process.supervisor import supervise

MAX_WEIGHT = 1_000


def add_worker_arguments(parser: ArgumentParser) -> None:
    """Add the options of a worker to ``parser``."""
    parser.add_argument(
        "--queues",
        type=parse_queues,
        metavar="NAME,NAME",
        help="Serve these queues only. Default: all, also ones created later. With weights, NAME:3,NAME:1, they get"
        " such shares of what is taken; without, the highest priority of all goes first.",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="Take nothing of a queue while one named before it in --queues has anything.",
    )
    parser.add_argument(
        "--concurrency",
        type=positive_int,
        default=4,
        metavar="N",
        help="Plain jobs at once a process (default 4).",
    )
    parser.add_argument(
        "--pool",
        choices=POOLS,
        default=THREADS,
        help="Where jobs run: in threads of the worker process (default), or each in a process of its own slot, which"
        " a hang or a crash in C code, or a leak, takes down alone.",
    )
    parser.add_argument(
        "--processes", type=positive_int, default=1, metavar="N", help="Worker processes (default 1)."
    )
    parser.add_argument(
        "--burst", action="store_true", help="Work off what is ready and due, then exit with code 0."
    )
    duty = parser.add_mutually_exclusive_group()
    duty.add_argument(
        "--no-scheduler", action="store_true", help="Run jobs only; other processes fire the schedules."
    )
    duty.add_argument("--scheduler-only", action="store_true", help="Fire schedules only; run no job.")
    parser.add_argument(
        "--max-jobs", type=positive_int, metavar="N", help="Replace a process after it has run so many jobs."
    )
    parser.add_argument(
        "--max-memory-mb",
        type=positive_int,
        metavar="N",
        help="Replace a process that uses more memory than this.",
    )
    parser.add_argument(
        "--reload", action="store_true", help="Start the processes anew when the code changes (development)."
    )

    parser.add_argument(
        "--health-port",
        type=port_number,
        metavar="N",
        help="Answer /live and /ready over HTTP at this port, 0: at any free one. Default: do not.",
    )
    parser.add_argument(
        "--health-address",
        default="127.0.0.1",
        metavar="IP",
        help="The address to answer at (default 127.0.0.1; in a container 0.0.0.0).",
    )


def run_workers(options: dict[str, Any], stdout: OutputWrapper) -> None:
    """Run workers as the parsed ``options`` say, then leave the process with the right exit code."""
    log_to_terminal(options["verbosity"])
    if options["burst"] and options["scheduler_only"]:
        raise CommandError(
            "--burst works off jobs and fires no schedule; 'manage.py jobs tick' fires what is due once"
        )
    megabytes = options["max_memory_mb"]
    queues, weights = options["queues"] or (None, None)
    if options["strict"] and (queues is None or weights is not None):
        raise CommandError(
            "--strict takes from the queues in the order of --queues: expected --queues NAME,NAME without weights"
        )
    chosen = WorkerOptions(
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

    def say(line: str) -> None:
        if options["verbosity"]:
            stdout.write(line)
            stdout.flush()

    try:
        code = supervise(chosen, say=say)
    except ConfigurationError as error:
        raise CommandError(str(error)) from error
    if code:
        sys.exit(code)


def positive_int(text: str) -> int:
    """Return ``text`` as a whole number of at least 1."""
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")


def port_number(text: str) -> int:
    """Return ``text`` as a TCP port, or 0."""
    if text.isdecimal() and int(text) < 65_536:
        return int(text)
    raise ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")


def parse_queues(text: str) -> tuple[tuple[str, ...], dict[str, int] | None]:
    """Return the names of a comma-separated list, and their weights where ``NAME:WEIGHT`` gives any; others have 1."""
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
            raise ArgumentTypeError(str(error)) from None
    return tuple(weights), weights if weighted else None
