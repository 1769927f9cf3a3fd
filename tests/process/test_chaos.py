"""Chaos: workers are killed, frozen, cut off and replaced at random, and every promise is audited afterwards.

The moments follow from a seed, which a failure prints; ``DJANGO_JOBS_TEST_SEED`` gives one. A long run:
``DJANGO_JOBS_TEST_CHAOS_SECONDS=600``.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction

from django_jobs.models import Attempt, Job, Worker
from tests.chaos import jobs as kinds
from tests.chaos.audit import audit
from tests.chaos.connections import cut_all_other_connections
from tests.chaos.records import read_records, unfinished
from tests.concurrency import wait_until
from tests.process.conftest import StartWorker
from tests.process.running import RunningWorker

SECONDS = float(os.environ.get("DJANGO_JOBS_TEST_CHAOS_SECONDS", "6"))

pytestmark = [
    pytest.mark.process,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(3 * SECONDS + 200),
]


class RolledBack(Exception):
    """Ends a transaction of the producer."""


class Chaos:
    """Enqueues, and does to the workers what a bad day does, as a seed says."""

    def __init__(self, start_worker: StartWorker, seed: int, path: Path) -> None:
        self.random = random.Random(seed)
        self.path = path
        self.committed: list[int] = []
        self.events: list[str] = []
        self._start_worker = start_worker
        self._began_at = time.monotonic()
        self._frozen: list[int] = []
        self._workers: list[RunningWorker] = []
        self._start()
        self._start("--pool", "processes")

    def run(self, seconds: float) -> None:
        """Do harm at random moments for ``seconds``, then let a last worker finish what there is."""
        pause = threading.Event()
        harms: list[Callable[[], None]] = [
            self._kill_child,
            self._kill_group,
            self._freeze,
            self._replace,
            self._cut,
        ]
        while time.monotonic() < self._began_at + seconds:
            self._enqueue()
            pause.wait(self.random.uniform(0.05, 0.5))
            self.random.choice(harms)()
        self._thaw()
        self._start()
        wait_until(lambda: not unfinished().exists(), "all jobs to be in a final state", seconds=60 + 2 * seconds)
        for worker in self._workers:
            worker.signal(signal.SIGTERM)

    def _start(self, *options: str) -> None:
        worker = self._start_worker(
            *options,
            "--concurrency",
            "3",
            HEARTBEAT_INTERVAL=0.2,
            STALE_AFTER=1.0,
            SHUTDOWN_GRACE=1.0,
            MAX_WORKER_DEATHS=1000,
        )
        self._workers.append(worker)

    def _enqueue(self) -> None:
        path = str(self.path)
        chosen = self.random.choices([*kinds.HARMLESS, kinds.kills_its_worker], [10] * 8 + [1], k=12)
        keep = self.random.random() < 0.8
        try:
            with transaction.atomic():
                ids = [one.using(metadata={"committed": keep}).enqueue(path).pk for one in chosen]
                if not keep:
                    raise RolledBack
        except RolledBack:
            return
        except OperationalError as error:
            # SQLite: a frozen worker has the one lock for writing.
            self._note(f"an enqueue failed: {error}")
            return
        self.committed += ids

    def _child(self) -> int | None:
        pids = list(Worker.objects.filter(state="running").order_by("pk").values_list("pid", flat=True))
        return self.random.choice(pids) if pids else None

    def _kill_child(self) -> None:
        if (pid := self._child()) is not None:
            self._note(f"SIGKILL to worker process {pid}")
            _signal(pid, signal.SIGKILL)

    def _kill_group(self) -> None:
        worker = self._workers.pop(self.random.randrange(len(self._workers)))
        self._note(f"SIGKILL to the group of {worker.process.pid}")
        worker.kill()
        self._start(*self.random.choice([(), ("--pool", "processes")]))

    def _freeze(self) -> None:
        self._thaw()
        if (pid := self._child()) is not None:
            self._note(f"SIGSTOP to worker process {pid}")
            _signal(pid, signal.SIGSTOP)
            self._frozen.append(pid)

    def _thaw(self) -> None:
        while self._frozen:
            pid = self._frozen.pop()
            self._note(f"SIGCONT to worker process {pid}")
            _signal(pid, signal.SIGCONT)

    def _replace(self) -> None:
        self._thaw()
        worker = self._workers.pop(0)
        self._note(f"SIGTERM to {worker.process.pid}")
        worker.signal(signal.SIGTERM)
        self._start(*self.random.choice([(), ("--pool", "processes")]))

    def _cut(self) -> None:
        self._note(f"{cut_all_other_connections()} connections are cut")

    def _note(self, event: str) -> None:
        self.events.append(f"{time.monotonic() - self._began_at:6.2f} s  {event}")


def _signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process of ours that may have ended meanwhile."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def test_every_promise_is_kept_whatever_happens_to_the_workers(start_worker: StartWorker, tmp_path: Path) -> None:
    seed = int(os.environ.get("DJANGO_JOBS_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
    chaos = Chaos(start_worker, seed, tmp_path / "begun")
    try:
        chaos.run(SECONDS)
    except AssertionError as error:
        left = Counter(unfinished().values_list("name", "state", "worker_deaths"))
        pytest.fail("\n".join([f"DJANGO_JOBS_TEST_SEED={seed}", *chaos.events, str(error), str(left)]))

    rolled_back = Job.objects.filter(metadata__committed=False).count()
    findings = audit(chaos.committed, read_records(chaos.path), expected=kinds.EXPECTED, rolled_back=rolled_back)
    report = "\n".join([f"DJANGO_JOBS_TEST_SEED={seed} on {connection.vendor}", *chaos.events, *findings])
    print(report)
    print(f"{len(chaos.committed)} jobs committed, {Attempt.objects.count()} tries,", dict(_outcomes()))
    assert not findings, report
    assert len(chaos.committed) > 10


def _outcomes() -> Counter[str]:
    return Counter(Attempt.objects.values_list("outcome", flat=True))
