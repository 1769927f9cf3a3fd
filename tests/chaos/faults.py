"""What a bad day does to workers and their database: kills, freezes, cut connections, a restart of the server."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from django.db import connection

from django_jobs.models import Worker
from tests.private import PrivateServer
from tests.process.proxy import TO_CLIENT, TO_SERVER, Proxy
from tests.process.running import RunningWorker

POOLS = ((), ("--pool", "processes"))
STALE_SECONDS = 1.0
FROZEN_SECONDS = (0.3, 2.5)
"""Some of the frozen come back in time, others find that their jobs were given to others."""
UP = "  mode  "
"""Begins the last line of what a worker says when it has started."""
KILLED = "died: killed by SIGKILL"
LINES = 40
"""Of what a worker said, shown if it has not ended well."""
STALL_SECONDS = (0.2, 1.0)


class Faults:
    """Each method breaks something; the plan names them. ``server`` and ``proxy`` None: SQLite."""

    def __init__(
        self,
        start: Callable[..., RunningWorker],
        note: Callable[[str], None],
        *,
        server: PrivateServer | None,
        proxy: Proxy | None,
    ) -> None:
        self.ended: list[RunningWorker] = []
        """Workers that were told to end, and may still be ending."""
        self.workers: list[RunningWorker] = []
        self.has_crashed = False
        self._start_worker = start
        self._note = note
        self._server = server
        self._proxy = proxy
        self._dice = random.Random()
        self._thaws: list[threading.Timer] = []
        for options in POOLS:
            self.start(*options)

    def start(self, *options: str) -> None:
        """Start one more worker, which knows a dead one by its silence of a second."""
        settings = {
            "JOB_DEFAULTS": {"backoff": [0.1]},
            "RESULTS": {"MAX_BYTES": 1_000, "STORAGE": "results"},
        }
        worker = self._start_worker(
            *options,
            "--concurrency",
            "3",
            settings=settings,
            HEARTBEAT_INTERVAL=STALE_SECONDS / 5,
            STALE_AFTER=STALE_SECONDS,
            SHUTDOWN_GRACE=1.0,
            MAX_WORKER_DEATHS=1_000,
            BATCH_ABANDONED_AFTER=2.0,
        )
        self.workers.append(worker)

    def strike(self, fault: str, dice: random.Random) -> None:
        """Call the method ``fault``."""
        self._dice = dice
        getattr(self, fault)()

    def kill_process(self) -> None:
        """Kill a worker process; its supervisor starts another."""
        if (pid := self._process()) is not None:
            self._note(f"SIGKILL to worker process {pid}")
            _signal(pid, signal.SIGKILL)

    def kill_group(self) -> None:
        """Kill a worker with its supervisor, as a host's loss of power does, and start another."""
        worker = self._take()
        self._note(f"SIGKILL to the group of {worker.process.pid}")
        worker.kill()
        self.start(*self._dice.choice(POOLS))

    def freeze_process(self) -> None:
        """Stop a worker process; its supervisor goes on."""
        if (pid := self._process()) is not None:
            self._freeze(lambda number: _signal(pid, number), f"worker process {pid}")

    def freeze_group(self) -> None:
        """Stop a worker with its supervisor and job processes, as a host that is suspended."""
        pid = self._dice.choice(self.workers).process.pid
        self._freeze(lambda number: _signal(-pid, number), f"the group of {pid}")

    def replace(self) -> None:
        """End a worker in good order and start another, as a deployment does."""
        worker = self._take()
        self._note(f"SIGTERM to {worker.process.pid}")
        worker.signal(signal.SIGTERM)
        self.ended.append(worker)
        self.start(*self._dice.choice(POOLS))

    def cut(self) -> None:
        """Cut all connections of all workers, in the middle of whatever they say."""
        if self._proxy is not None:
            self._note(f"{self._proxy.cut()} connections are cut")

    def stall(self) -> None:
        """Let nothing through for a moment, one way or both, then cut the connections."""
        if self._proxy is not None:
            ways = self._dice.choice([(TO_SERVER,), (TO_CLIENT,), (TO_SERVER, TO_CLIENT)])
            self._proxy.silent |= set(ways)
            threading.Event().wait(self._dice.uniform(*STALL_SECONDS))
            self._proxy.silent.clear()
            self._note(f"{self._proxy.cut()} connections are cut after a silence: {' and '.join(ways)}")

    def restart(self, how: str) -> None:
        """Restart the database server."""
        if self._server is None:
            return
        self._note(f"the server is restarted: {how}")
        self.has_crashed = self.has_crashed or how != "fast"
        if how == "crash":
            self._server.crash()
        else:
            self._server.stop(immediately=how == "immediate")
        self._server.start()
        connection.close()

    def relent(self) -> None:
        """Thaw what is frozen."""
        for thaw in self._thaws:
            thaw.join()

    def stop_all(self) -> list[str]:
        """End all workers in good order; return what those said whose exit code is not 0.

        One that was told to end, or met a database that was down, before it was up has its system's or Django's code;
        one whose process was killed, perhaps while it ended, may say so by its code.
        """
        for worker in self.workers:
            worker.signal(signal.SIGTERM)
        codes = [(worker.wait(), worker) for worker in [*self.ended, *self.workers]]
        return [
            "\n".join([f"{worker.process.pid} ended with code {code}", *worker.lines[-LINES:]])
            for code, worker in codes
            if code and UP in worker.output and KILLED not in worker.output
        ]

    def _freeze(self, send: Callable[[signal.Signals], None], whom: str) -> None:
        seconds = self._dice.uniform(*FROZEN_SECONDS)
        self._note(f"SIGSTOP to {whom} for {seconds:.1f} s")
        send(signal.SIGSTOP)
        thaw = threading.Timer(seconds, send, [signal.SIGCONT])
        thaw.start()
        self._thaws.append(thaw)

    def _process(self) -> int | None:
        pids = list(Worker.objects.filter(state="running").order_by("pk").values_list("pid", flat=True))
        return self._dice.choice(pids) if pids else None

    def _take(self) -> RunningWorker:
        return self.workers.pop(self._dice.randrange(len(self.workers)))


def _signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process of ours, or with a negative number to its group; it may have ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
