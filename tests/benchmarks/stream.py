"""Enqueue many jobs from an iterator, in a process that does nothing else, and tell rate and memory as JSON.

First as many as are warmed up with, then as many as are measured: what the memory grows by in between is what a
stream costs. Arguments: the two numbers.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import django


def main(first: int, many: int) -> dict[str, float | None]:
    django.setup()
    from tests.benchmarks.jobs import noop

    noop.enqueue_stream((x,) for x in range(first))
    first_mib = peak_mib()
    began = time.monotonic()
    number = noop.enqueue_stream((x,) for x in range(many))
    return {
        "jobs_per_second": number / (time.monotonic() - began),
        "first_mib": first_mib,
        "peak_mib": peak_mib(),
    }


def peak_mib() -> float | None:
    """Return the most memory that this process has ever had in use; None where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = status.read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
