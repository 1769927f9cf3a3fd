"""``app.control``: revoke by id; what else Celery sends to its workers, the admin and commands do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from .exceptions import UnsupportedError
from .result import AsyncResult

_WAYS = {
    "inspect": "the admin's pages of workers and jobs, or manage.py jobs top",
    "purge": "operations.cancel(Job.objects.filter(queue_name=...))",
    "rate_limit": "rate_limit= of the task, which counts over all workers",
    "time_limit": "time_limit= of the task",
    "shutdown": "stop the processes of manage.py runworker",
    "ping": "the admin's page of workers, or the health check of manage.py runworker",
    "add_consumer": "manage.py runworker --queues",
    "cancel_consumer": "operations.pause(queue)",
}


class Control:
    """``revoke``; other methods raise UnsupportedError naming the way here."""

    def revoke(self, task_id: str | Iterable[str], *ignored: Any, terminate: bool = False, **_: Any) -> None:
        """Cancel jobs by the ids of their results; see ``AsyncResult.revoke``."""
        for one in [task_id] if isinstance(task_id, str) else [str(each) for each in task_id]:
            AsyncResult(one).revoke(terminate=terminate)

    def terminate(self, task_id: str | Iterable[str], *ignored: Any, **_: Any) -> None:
        """Do what ``revoke`` does."""
        self.revoke(task_id, terminate=True)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedError(f"app.control.{name} is not supported: {_WAYS.get(name, 'see the admin')}")
