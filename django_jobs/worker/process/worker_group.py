"""The workers of one process: one for each database that it serves. Several share the slots in which jobs run.

Each has its own connections, claimer, finisher, heartbeat and maintenance, so that none waits for another's database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from ...conf import Settings, get_settings
from ...conf.database import set_database, use_database
from ..options import WorkerOptions
from ..shared_parts import SharedParts
from ..system.exit_codes import EXIT_DONE
from ..threads.watched_thread import WatchedThread
from ..worker import Worker
from .channel import Channel


class GroupHost(Protocol):
    """The process around a group of workers."""

    def registered(self, database: str, worker_id: int) -> None:
        """The worker of a database has a new id."""

    def stop(self, reason: str, exit_code: int) -> None:
        """The group should be drained and closed; from any thread, perhaps more than once."""

    def kill(self, reason: str) -> None:
        """The group should be closed at once; from any thread, perhaps more than once."""


class WorkerGroup:
    """``is_failed``: a part is broken. After ``close``, ``stop_requested`` tells whether staff requested a stop."""

    def __init__(self, options: WorkerOptions, host: GroupHost, channels: Mapping[str, Channel]) -> None:
        settings = get_settings()
        self._shared = SharedParts(options, settings) if len(channels) > 1 else None
        self._running = set(channels)
        self._lock = threading.Lock()
        self._host = host
        self._workers = {
            alias: self._create_worker(alias, options, settings, channel) for alias, channel in channels.items()
        }

    def _create_worker(self, alias: str, options: WorkerOptions, settings: Settings, channel: Channel) -> Worker:
        return Worker(
            options.of_database(alias, schedules_in=settings.database_of_schedules),
            _DatabaseHost(alias, self),
            channel.started_jobs.writer(),
            channel.liveness,
            settings=settings.for_database(alias),
            shared=self._shared,
        )

    @property
    def is_failed(self) -> bool:
        """True if a worker has failed."""
        return any(worker.is_failed for worker in self._workers.values())

    @property
    def stop_requested(self) -> bool:
        """True if staff requested a stop of one of the workers."""
        return any(worker.stop_requested for worker in self._workers.values())

    def start(self) -> None:
        """Start the workers."""
        for worker in self._workers.values():
            worker.start()

    def drain(self, seconds: float) -> bool:
        """Drain all at the same time; tell whether all runs have ended."""
        drained = self._for_each(lambda worker: worker.drain(seconds))
        if drained and self._shared is not None:
            self._shared.end_job_processes()
        return drained

    def close(self) -> None:
        """Close all at the same time: a database that is down delays none of the others' last finishes."""
        self._for_each(Worker.close)
        if self._shared is not None:
            self._shared.kill_job_processes()

    def died(self, role: str) -> None:
        """Fail as a whole because one of the process's threads died."""
        next(iter(self._workers.values())).died(role)

    def registered(self, database: str, worker_id: int) -> None:
        """Tell the host."""
        self._host.registered(database, worker_id)

    def stop(self, database: str, reason: str, exit_code: int) -> None:
        """Tell the host, unless the worker is only done: then once all of them are."""
        with self._lock:
            self._running.discard(database)
            if exit_code == EXIT_DONE and self._running:
                return
        self._host.stop(reason, exit_code)

    def kill(self, reason: str) -> None:
        """Tell the host."""
        self._host.kill(reason)

    def _for_each(self, act: Callable[[Worker], bool]) -> bool:
        """Return whether ``act`` is true of all workers; if there are several, in a thread for each."""
        if len(self._workers) == 1:
            [(alias, worker)] = self._workers.items()
            with use_database(alias):
                return act(worker)
        results: list[bool] = []

        def run(alias: str, worker: Worker) -> None:
            set_database(alias)
            results.append(act(worker))

        threads = [
            WatchedThread(partial(run, alias, worker), role="end", on_death=worker.died)
            for alias, worker in self._workers.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(results) == len(threads) and all(results)


class _DatabaseHost:
    """The host of the worker of one database."""

    def __init__(self, database: str, group: WorkerGroup) -> None:
        self._database = database
        self._group = group

    def registered(self, worker_id: int) -> None:
        """Tell the group."""
        self._group.registered(self._database, worker_id)

    def stop(self, reason: str, exit_code: int) -> None:
        """Tell the group."""
        self._group.stop(self._database, reason, exit_code)

    def kill(self, reason: str) -> None:
        """Tell the group."""
        self._group.kill(reason)
