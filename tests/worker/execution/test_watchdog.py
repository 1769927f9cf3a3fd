"""What must not happen around a time limit that fires in the very instant in which its block is left."""

import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from django_jobs.exceptions import JobTimeoutError
from django_jobs.worker.execution import timeouts
from django_jobs.worker.execution.timeouts import Watchdog
from tests.concurrency import DEADLINE_SECONDS, Background
from tests.databases import ROOT

UNDER_TRACE = """
import sys, threading, time
from django_jobs.exceptions import JobTimeoutError
from django_jobs.worker.execution.timeouts import Watchdog

sys.settrace(lambda *_: (lambda *_: None))
try:
    with Watchdog().limit(0.05):
        while True:
            time.sleep(0.001)
except JobTimeoutError:
    pass


def another():
    return "went on"


print(another())
"""


def test_a_process_that_is_traced_goes_on_after_a_timeout():
    """Taking an exception back makes Python 3.11 spin for ever where a debugger or coverage traces."""
    done = subprocess.run(
        [sys.executable, "-c", UNDER_TRACE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "went on\n"), done.stderr


def test_a_limit_that_fires_while_its_thread_waits_to_leave_does_not_keep_the_watchdogs_lock():
    """The watchdog holds its lock and fires; the thread waits for that lock at the end of its block."""
    watchdog, inside, go = Watchdog(), threading.Event(), threading.Event()

    def leave_in_time():
        try:
            with watchdog.limit(3_600):
                inside.set()
                go.wait(DEADLINE_SECONDS)
        except JobTimeoutError:
            return "timed out"
        return "ended"

    leaving = Background(leave_in_time)
    assert inside.wait(DEADLINE_SECONDS)
    with watchdog._lock:
        [(_, _, limit)] = watchdog._limits
        go.set()
        deadline = time.monotonic() + 0.2  # long enough for the thread to come to the lock, where it cannot be seen
        while time.monotonic() < deadline:
            pass
        timeouts._raise_in(limit.thread_id)

    assert leaving.result() in {"timed out", "ended"}

    def use_it_again():
        with watchdog.limit(3_600):
            return "free"

    assert Background(use_it_again).result(5) == "free"


def hang_under(watchdog):
    try:
        with watchdog.limit(0.01):
            while True:
                time.sleep(0.001)
    except JobTimeoutError:
        return "timed out"


@pytest.mark.slow
def test_many_blocks_that_end_just_as_their_limit_fires_leave_the_watchdog_working():
    watchdog = Watchdog()
    for number in range(2_000):
        with suppress(JobTimeoutError), watchdog.limit(0.0002 + number % 7 * 0.0001):
            end = time.perf_counter() + 0.0004
            while time.perf_counter() < end:
                pass

    assert Background(lambda: hang_under(watchdog)).result() == "timed out"
