"""Exit codes of worker processes, and their description in logs."""

from __future__ import annotations

import signal

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_STOP_REQUESTED = 74
"""Staff requested the stop: the process is not replaced."""
EXIT_UNGUARDED = 73
"""The script that was started starts workers when it is imported, as each worker process does."""
EXIT_RECYCLE = 75
"""The process has reached its limit of jobs or memory and is to be replaced."""


def describe_exit(code: int | None) -> str:
    """Return ``exit code 3`` or ``killed by SIGSEGV``; ``code`` as ``Process.exitcode`` gives it."""
    if code is None:
        return "it does not end"
    if code < 0:
        names = {number.value: number.name for number in signal.Signals}  # not all real-time signals have one
        return f"killed by {names.get(-code, f'signal {-code}')}"
    return f"exit code {code}"
