"""The job list: a page of ``store/search/jobs.py`` in Django's list."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import prefetch_related_objects
from django.http import HttpRequest

from ...models import Job
from ...store.clock import database_now
from ...store.search.jobs import find_jobs
from ...store.search.keyset_pages import KeysetPage
from ..site.paging import PagedChangeList
from .filters import read_filter


class JobChangeList(PagedChangeList):
    """Shows the page of the address. The queryset, which actions use, is that of all jobs."""

    def read_page(self, request: HttpRequest, after: str) -> KeysetPage[Job]:
        """Read one page, the workers of its running jobs, and the database's time."""
        page = find_jobs(read_filter(request), after=after, limit=self.list_per_page)
        prefetch_related_objects(page.rows, "worker")
        now = database_now()
        for job in page.rows:
            vars(job)["read_at"] = now
        return page


def read_at(job: Any) -> datetime:
    """Return when the job was read, by the database's clock."""
    instant: datetime = vars(job).get("read_at") or database_now()
    return instant
