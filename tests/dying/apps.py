from __future__ import annotations

from typing import Any

from django.apps import AppConfig

from . import die_if_named


def _die_before(owner: type, method: str, name: str = "") -> None:
    """Have each call of a method look first whether it is to die; ``name`` empty: by the object's own name."""
    whole = getattr(owner, method)

    def look_first(self: Any, *arguments: Any) -> Any:
        die_if_named(name or self.name)
        return whole(self, *arguments)

    setattr(owner, method, look_first)


def _hear(**_: object) -> None:
    pass


class DyingConfig(AppConfig):
    """Puts the error where each thread of a worker passes, outside what it expects to fail."""

    name = "tests.dying"

    def ready(self) -> None:
        from django_jobs import signals
        from django_jobs.worker.executors.event_loop import EventLoopExecutor
        from django_jobs.worker.executors.threads import ThreadExecutor
        from django_jobs.worker.process import health_server, supervisor
        from django_jobs.worker.process.service_manager import ServiceManager
        from django_jobs.worker.threads.loop import Loop
        from django_jobs.worker.worker import Worker

        signals.job_succeeded.connect(_hear)  # without a receiver the announcer has nothing to do
        _die_before(Loop, "_timed_step")
        _die_before(Loop, "abort_if_unresponsive", "guard")
        _die_before(ThreadExecutor, "_run", "executor")
        _die_before(EventLoopExecutor, "_start_waiting", "event loop")
        _die_before(Worker, "drain", "drain")
        _die_before(health_server._Server, "service_actions", "health server")
        _die_before(ServiceManager, "_notify", "service manager")
        supervisor.MIN_UPTIME_SECONDS = 0.0  # the next one need not wait because many die
