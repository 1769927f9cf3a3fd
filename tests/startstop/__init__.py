"""Receivers of ``worker_started`` and ``worker_stopping`` that write to a file, for workers of tests.

By ``DJANGO_JOBS_TEST_APPS``. A line has the event, the kind of the process, its id, and the queues.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

TRACE = "DJANGO_JOBS_TEST_TRACE"
"""Names the file."""
HANGING = "DJANGO_JOBS_TEST_HANGING"
"""The kind of process whose receiver of ``worker_stopping`` does not return."""


def trace(event: str, *, kind: str, pid: int, queues: tuple[str, ...] | None) -> None:
    assert pid == os.getpid()
    with Path(os.environ[TRACE]).open("a") as file:
        file.write(f"{event}|{kind}|{pid}|{queues}\n")


def on_started(*, kind: str, pid: int, queues: tuple[str, ...] | None, **_: Any) -> None:
    trace("started", kind=kind, pid=pid, queues=queues)
    raise SystemExit("a receiver of worker_started gives up")


def on_stopping(*, kind: str, pid: int, queues: tuple[str, ...] | None, **_: Any) -> None:
    trace("stopping", kind=kind, pid=pid, queues=queues)
    if kind == os.environ.get(HANGING):
        threading.Event().wait()
    raise LookupError("a receiver of worker_stopping failed")
