"""The job list: a page of ``store/search/jobs.py`` in Django's list."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import prefetch_related_objects
from django.http import HttpRequest

from ...models import Job
from ...policy.short_arguments import short_arguments
from ...redaction import redact_arguments
from ...store.clock import database_now
from ...store.search.jobs import find_jobs
from ...store.search.keyset_pages import SCAN_LIMIT, KeysetPage
from ...store.search.page_arguments import read_page_arguments
from ..site.labels import run_duration, wait_duration
from ..site.links import type_url
from ..site.paging import PagedChangeList, page_time
from ..site.permissions import VIEW_ARGUMENTS, has_permission
from .filters import read_filter


class JobChangeList(PagedChangeList):
    """Shows the page of the address. The queryset, which actions use, is that of all jobs."""

    def read_page(self, request: HttpRequest, after: str) -> KeysetPage[Job]:
        """Read one page, the workers of its running jobs, the arguments, and the database's time; link the types."""
        wanted, limit = read_filter(request), self.list_per_page
        page = find_jobs(wanted, after=after, limit=limit, scan=SCAN_LIMIT, within=page_time())
        prefetch_related_objects(page.rows, "worker")
        now = database_now()
        can_view_arguments = has_permission(request, VIEW_ARGUMENTS)
        ids = [job.pk for job in page.rows] if can_view_arguments else []
        arguments = read_page_arguments(ids, using=self.queryset.db) if ids else {}
        site = self.model_admin.admin_site
        urls = {name: type_url(request, site, name) for name in {job.name for job in page.rows}}
        for job in page.rows:
            vars(job).update(
                read_at=now,
                show_message=can_view_arguments,
                arguments_text=_one_line(job, arguments),
                type_url=urls[job.name],
            )
        return page

    def get_results(self, request: HttpRequest) -> None:
        """Leave out the columns of times that no job of the page has: jobs for later have neither waited nor run."""
        super().get_results(request)
        jobs = self.result_list
        shown = {
            "waited": any(wait_duration(job, now=read_at(job)) is not None for job in jobs),
            "ran": any(run_duration(job, now=read_at(job)) is not None for job in jobs),
        }
        self.list_display = [name for name in self.list_display if shown.get(str(name), True)]


def _one_line(job: Job, arguments: dict[int, Any]) -> str:
    stored = arguments.get(job.pk)
    return short_arguments(redact_arguments(job.name, stored)) if isinstance(stored, dict) else ""


def read_at(job: Any) -> datetime:
    """Return when the job was read, by the database's clock."""
    instant: datetime = vars(job).get("read_at") or database_now()
    return instant
