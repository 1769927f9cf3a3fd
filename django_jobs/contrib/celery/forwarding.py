"""Messages that a real Celery still has: enqueue them as jobs, while a project moves.

The result of a message is not kept in Celery's backend. One that Celery is to pass on, to the rest of a chain, a chord
or a callback, is kept: the message is retried each second, without a thread that waits, until its job has ended.
"""

from __future__ import annotations

from typing import Any

from . import catalog
from .result import AsyncResult

POLL_SECONDS = 1
_GO_ON = ("chain", "chord", "callbacks", "errbacks")
"""What a message has if Celery goes on with its result."""


def forward_messages(celery_app: Any, *tasks: Any) -> list[str]:
    """Have a worker of a real Celery app enqueue the job of each task whose message it gets; return their names.

    ``celery_app`` is an object of ``celery.Celery``; ``tasks`` default to all of this process. A message that is
    delivered twice is one job: its id is the job's idempotency key.
    """
    moved = list(tasks) or catalog.all_tasks()
    for task in moved:
        options = {"ignore_result": False, "max_retries": None, "default_retry_delay": POLL_SECONDS}
        celery_app.task(name=task.name, bind=True, **options)(_forwarder(task))
    return [task.name for task in moved]


def _forwarder(task: Any) -> Any:
    from celery.exceptions import Ignore  # type: ignore[import-untyped,import-not-found,unused-ignore]  # not needed

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        job = task.job.using(idempotency_key=f"celery {request.id}").enqueue(*args, **kwargs)
        if request.is_eager or not any(getattr(request, name, None) for name in _GO_ON):
            raise Ignore  # no result: the job has not run
        result = AsyncResult.of(job)
        if not result.ready():
            raise self.retry()
        return result.collect(propagate=True, callback=None)

    return forward
