"""The jobs' list: a page of ``store/search/jobs.py`` in Django's own list."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import prefetch_related_objects
from django.http import HttpRequest

from ...models import Job
from ...policy.filter_values import FilterError
from ...store.clock import database_now
from ...store.search.jobs import find_jobs
from ...store.search.keyset_pages import KeysetPage
from ..site.paging import CURSOR_PARAMETER, WindowChangeList
from .filters import read_filter


class JobChangeList(WindowChangeList):
    """Shows the page that the address asks for; the queryset, for actions, is that of all jobs."""

    page: KeysetPage[Job]

    def get_results(self, request: HttpRequest) -> None:
        """Read one page, with the workers of what runs and the instant at which it was read."""
        try:
            wanted = read_filter(request)
            self.page = find_jobs(
                wanted, after=request.GET.get(CURSOR_PARAMETER, ""), limit=self.list_per_page
            )
        except FilterError as error:
            raise IncorrectLookupParameters(str(error)) from None
        prefetch_related_objects(self.page.rows, "worker")
        now = database_now()
        for job in self.page.rows:
            set_read_at(job, now)
        self.show_rows(self.page.rows)

    @property
    def older_url(self) -> str | None:
        """The address of the next page, None at the end."""
        return (
            None
            if self.page.next_cursor is None
            else self.get_query_string({CURSOR_PARAMETER: self.page.next_cursor})
        )


def set_read_at(job: Job, now: datetime) -> None:
    """Keep with a job, for its columns, when it was read by the database's clock."""
    vars(job)["seen_at"] = now


def read_at(job: Any) -> datetime:
    """Return when the job was read."""
    instant: datetime = vars(job).get("seen_at") or database_now()
    return instant
