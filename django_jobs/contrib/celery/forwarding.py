"""Messages that a real Celery still has: enqueue them as jobs, while a project moves.

The result of a message is not kept in Celery's backend. One that Celery is to pass on, to the rest of a chain, a chord
or a callback, is kept: the message is retried each second, without a thread that waits, until its job has ended.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from ...policy.priorities import MAX_PRIORITY, MIN_PRIORITY
from . import catalog
from .options import as_aware
from .result import AsyncResult

POLL_SECONDS = 1
_GO_ON = ("chain", "chord", "callbacks", "errbacks")
"""What a message has if Celery goes on with its result."""


def forward_messages(celery_app: Any, *tasks: Any) -> list[str]:
    """Have a worker of a real Celery app enqueue the job of each task whose message it gets; return their names.

    ``celery_app`` is an object of ``celery.Celery``; ``tasks`` default to all of this process. A message that is
    delivered twice is one job: its id is the job's idempotency key. ``expires``, ``priority`` and an ``eta`` that is
    still ahead are options of the job; a message that has expired makes none.
    """
    moved = list(tasks) or catalog.all_tasks()
    for task in moved:
        options = {"ignore_result": False, "max_retries": None, "default_retry_delay": POLL_SECONDS, "shared": False}
        celery_app.task(name=task.name, bind=True, **options)(_forwarder(task))
    return [task.name for task in moved]


def _forwarder(task: Any) -> Any:
    from celery.exceptions import Ignore  # type: ignore[import-untyped,import-not-found,unused-ignore]  # not needed

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        options = call_options(task, request, negate_priority=_is_redis(self.app))
        if options is None:
            raise Ignore
        job = task.job_with(options).using(idempotency_key=f"celery {request.id}").enqueue(*args, **kwargs)
        if request.is_eager or not any(getattr(request, name, None) for name in _GO_ON):
            raise Ignore  # no result: the job has not run
        result = AsyncResult.of(job)
        if not result.ready():
            raise self.retry()
        return result.collect(propagate=True, callback=None)

    return forward


def call_options(task: Any, request: Any, *, negate_priority: bool) -> dict[str, Any] | None:
    """Return the options of the call that sent a message, None if it has expired.

    Celery leaves a message with an ``eta`` alone until then: it is ahead only if clocks differ. A priority that was not
    given arrives as 0 or None: the job keeps the one of its task.
    """
    now, eta, expires = timezone.now(), _instant(task, request.eta), _instant(task, request.expires)
    start = now if eta is None else max(now, eta)
    if expires is not None and expires <= start:
        return None
    priority = (request.delivery_info or {}).get("priority") or None
    if priority is not None:
        priority = max(min(-priority if negate_priority else priority, MAX_PRIORITY), MIN_PRIORITY)
    return {"eta": start if start > now else None, "expires": expires, "priority": priority}


def _instant(task: Any, value: Any) -> datetime | None:
    """Return an instant of a message, which is text of ISO 8601 or a datetime; naive ones are in Celery's time zone."""
    if value is None:
        return None
    return as_aware(datetime.fromisoformat(value) if isinstance(value, str) else value, task.conf)


def _is_redis(celery_app: Any) -> bool:
    """Tell whether the broker of a Celery app runs priority 0 first."""
    return bool(celery_app.connection_for_read().transport.driver_type == "redis")
