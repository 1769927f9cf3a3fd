"""Write what a worker does now: how busy it is, and its runs, the longest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..store.stats.live_workers import RunningJob, WorkerStatus
from .site.databases import row_text
from .site.labels import format_duration
from .site.links import page_link
from .site.page_admin import PageAdmin


def load_text(worker: WorkerStatus) -> str:
    """Return its load, such as "8 of 8 threads, 2 of 100 async, 35 in hand"."""
    if not worker.concurrency:
        return gettext("scheduler")
    threads = gettext("%(busy)s of %(all)s threads")
    parts = [threads % {"busy": worker.load.threads, "all": worker.concurrency}]
    if worker.load.async_runs:
        numbers = {"busy": worker.load.async_runs, "all": worker.async_capacity}
        parts.append(gettext("%(busy)s of %(all)s async") % numbers)
    if worker.load.in_hand:
        parts.append(gettext("%s in hand") % number_format(worker.load.in_hand, force_grouping=True))
    return ", ".join(parts)


def idle_text(worker: WorkerStatus) -> str:
    """Return why a worker lists no run: it has none, or they end before it reports them."""
    return gettext("short jobs") if any(worker.load) else gettext("idle")


def running_context(job: RunningJob, now: datetime) -> dict[str, Any]:
    """Return a run for the templates."""
    return {
        "id": job.job_id,
        "name": job.name,
        "since": format_duration(now - job.since) if job.since else "",
        "is_long": job.is_long,
        "progress_done": job.progress_done,
        "progress_total": job.progress_total,
    }


def running_links(
    model_admin: PageAdmin[Any], request: HttpRequest, worker: WorkerStatus, now: datetime, *, limit: int
) -> str | SafeString:
    """Return a link to each run, with how long it has taken; those that take unusually long are marked."""
    if not worker.running:
        return idle_text(worker)
    site = model_admin.admin_site
    rows = (
        (page_link(request, site, "job", job.job_id, f"{job.name} {row_text(job.job_id)}"), _since(job, now))
        for job in worker.running[:limit]
    )
    links = format_html_join("", "<div>{} {}</div>", rows)
    return links + _more_text(worker.running, limit)


def _since(job: RunningJob, now: datetime) -> str | SafeString:
    since = format_html('<span class="jobs-minor">{}</span>', format_duration(now - job.since) if job.since else "")
    return format_html("{} {}", since, long_badge()) if job.is_long else since


def long_badge() -> SafeString:
    """Return the mark of a run that takes longer than 99 % of its kind."""
    return format_html(
        '<span class="jobs-badge jobs-badge-warn" title="{}">{}</span>',
        gettext("Longer than 99 of the last 100 runs of this job"),
        gettext("long"),
    )


def _more_text(jobs: Sequence[RunningJob], limit: int) -> SafeString:
    more = len(jobs) - limit
    return format_html('<div class="jobs-minor">{}</div>', gettext("and %s more") % more) if more > 0 else SafeString()
