"""A backend that enqueues as JobsBackend does, and then drains the queue in the calling thread."""

from __future__ import annotations

from typing import Any

from django_jobs.contrib.tasks import JobsBackend
from django_jobs.testing import drain

_is_draining = False


class AtOnce(JobsBackend):
    """Results are final when ``enqueue`` returns; a task that enqueues another one does not wait for it."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Enqueue, run all that waits, and return the result as it is then."""
        global _is_draining
        result = super().enqueue(task, args, kwargs)
        if _is_draining:
            return result
        _is_draining = True
        try:
            drain()
        finally:
            _is_draining = False
        result.refresh()
        return result
