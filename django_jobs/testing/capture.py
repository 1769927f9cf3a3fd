"""Capture the jobs that are enqueued in a block, by whichever code, thread or connection."""

from __future__ import annotations

from types import TracebackType

from asgiref.sync import sync_to_async

from ..models import Job
from ..store.transactions import latest_rows


class capture_jobs:  # noqa: N801 - reads as a statement: with capture_jobs() as jobs
    """Fill a list, at the end of the block, with the jobs that were enqueued in it, oldest first.

    ``with capture_jobs() as jobs:``, or ``async with`` in asynchronous code. Those are the new rows: what other threads
    and connections have committed meanwhile belongs to them, jobs that were rolled back do not, and neither does a job
    that an enqueue returned because it has the key already. No commit and no signal is waited for, so it works in a
    TestCase. The jobs are as they are at the end of the block. An exception leaves the list empty.
    """

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._last_id = 0

    def __enter__(self) -> list[Job]:
        newest = latest_rows(Job.objects.order_by("-pk")).first()
        self._last_id = newest.pk if newest else 0
        return self.jobs

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        if kind is None:
            self.jobs += latest_rows(Job.objects.filter(pk__gt=self._last_id).order_by("pk"))

    async def __aenter__(self) -> list[Job]:
        return await sync_to_async(self.__enter__)()

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        await sync_to_async(self.__exit__)(kind, error, traceback)
