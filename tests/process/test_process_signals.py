"""Each process that runs jobs says so at its start, and before its end, which no receiver can hold up."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.concurrency import DEADLINE_SECONDS, wait_until
from tests.process.conftest import StartWorker
from tests.process.running import ended
from tests.sampleapp import jobs as sample
from tests.startstop import HANGING, TRACE

pytestmark = pytest.mark.django_db(transaction=True)


class Event(NamedTuple):
    event: str
    kind: str
    pid: str
    queues: str


@pytest.fixture
def trace(worker_environment: dict[str, str], tmp_path: Path) -> Path:
    path = tmp_path / "trace"
    worker_environment |= {"DJANGO_JOBS_TEST_APPS": "tests.startstop", TRACE: str(path)}
    return path


def read(path: Path) -> list[Event]:
    return [Event(*line.split("|")) for line in path.read_text().splitlines()]


def test_a_worker_process_and_its_job_processes_tell_of_their_start_and_their_end(
    start_worker: StartWorker, trace: Path
) -> None:
    """The first job process ends after its job, the second with the worker."""
    worker = start_worker("--pool", "processes", "--concurrency", "1", "--max-jobs", "1", "--queues", "default")
    assert ended(sample.add.enqueue(1, 2)) == ["succeeded"]
    wait_until(lambda: len(read(trace)) == 4, "the second job process to start")
    assert worker.stop() == 0
    events = read(trace)
    (pid,) = {event.pid for event in events if event.kind == "worker"}
    first, second = dict.fromkeys(event.pid for event in events if event.kind == "job process")
    assert events == [
        Event(event, "worker" if who == pid else "job process", who, "('default',)")
        for event, who in [
            ("started", pid),
            ("started", first),
            ("stopping", first),
            ("started", second),
            ("stopping", second),
            ("stopping", pid),
        ]
    ]
    worker.wait_for_line(r"worker \d+: the receiver <function on_stopping at \w+> failed")
    worker.wait_for_line(r"job process \d+: the receiver <function on_stopping at \w+> failed", number=2)
    worker.wait_for_line(r"job process \d+: a receiver failed, and those behind it are not called", number=2)


@pytest.mark.parametrize("how", ["--burst", "SIGQUIT"])
def test_a_receiver_that_hangs_does_not_keep_a_worker_process_alive(
    worker_environment: dict[str, str], start_worker: StartWorker, trace: Path, how: str
) -> None:
    worker_environment[HANGING] = "worker"
    job = sample.add.enqueue(1, 2)
    worker = start_worker(*[how] if how == "--burst" else [])
    assert ended(job) == ["succeeded"]
    if how != "--burst":
        worker.signal(signal.Signals[how])
    began = time.monotonic()
    assert worker.wait() == 0
    assert time.monotonic() - began < DEADLINE_SECONDS / 2
    assert [(event.event, event.kind, event.queues) for event in read(trace)] == [
        ("started", "worker", "None"),
        ("stopping", "worker", "None"),
    ]
    worker.wait_for_line(r"worker \d+ ends: the receivers of worker_stopping have not returned within 2 s")
