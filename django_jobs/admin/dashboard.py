"""The dashboard: current and recent figures, refreshed by one JSON response.

``store/stats/dashboard.py`` reads the numbers, this module formats them. The first view and each refresh share their
templates, so that the page can be read without a script.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ..store.dead_letters.groups import GroupSummary
from ..store.stats.dashboard import (
    BoundedCount,
    DashboardSnapshot,
    Durations,
    Point,
    QueueStatus,
    WorkerStatus,
    dashboard_snapshot,
)
from .site.labels import format_duration
from .site.page_admin import PageAdmin
from .site.permissions import VIEW_ARGUMENTS, has_permission, require_permission

PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
PERIOD_NAMES = {"1h": _("1 hour"), "24h": _("24 hours"), "7d": _("7 days")}
DEFAULT_PERIOD = "1h"
MAX_STATS_LAG = timedelta(minutes=1)
"""Older counts get a notice."""
MAX_RUNNING_SHOWN = 5


def dashboard_urls(model_admin: PageAdmin[Any]) -> list[URLPattern]:
    """Return the addresses of the page and of its refresh, for a ModelAdmin's ``get_urls``."""
    dashboard, view = Dashboard(model_admin), model_admin.admin_site.admin_view
    return [
        path("dashboard/", view(dashboard.page), name="django_jobs_dashboard"),
        path("dashboard/now/", view(dashboard.now), name="django_jobs_dashboard_now"),
    ]


class Dashboard:
    """The views on the site of one admin."""

    def __init__(self, model_admin: PageAdmin[Any]) -> None:
        self._admin = model_admin

    def page(self, request: HttpRequest) -> HttpResponse:
        """Show the page."""
        self._enter(request)
        period = _period(request)
        stats = dashboard_snapshot(period=PERIODS[period])
        context = {
            **self._admin.page_context(request, title=_("Dashboard")),
            "breadcrumbs": [],
            "periods": [(key, name, key == period) for key, name in PERIOD_NAMES.items()],
            "now_url": f"{self._admin.url('dashboard_now')}?period={period}",
            "chart": _chart(stats),
            "zone": timezone.get_current_timezone_name(),
            **self._context(request, stats),
        }
        return TemplateResponse(request, "admin/django_jobs/dashboard.html", context)

    def now(self, request: HttpRequest) -> JsonResponse:
        """Return the refreshed parts of the page: HTML above and below the charts, and the charts' data."""
        self._enter(request)
        stats = dashboard_snapshot(period=PERIODS[_period(request)])
        context = self._context(request, stats)
        parts = {
            part: render_to_string(f"admin/django_jobs/dashboard_{part}.html", context, request=request)
            for part in ("figures", "now")
        }
        response = JsonResponse({**parts, "chart": _chart(stats)})
        response["Cache-Control"] = "no-store"
        return response

    def _enter(self, request: HttpRequest) -> None:
        require_permission(request, "view_job")
        request.current_app = self._admin.admin_site.name  # for {% url %}

    def _context(self, request: HttpRequest, stats: DashboardSnapshot) -> dict[str, Any]:
        show_errors = has_permission(request, VIEW_ARGUMENTS)
        return {
            "figures": _figures(stats),
            "durations": [
                (_("Wait time"), _percentiles(stats.wait)),
                (_("Run time"), _percentiles(stats.run)),
            ],
            "notices": list(_warnings(stats)),
            "queues": [queue_context(queue) for queue in stats.queues],
            "are_queues_truncated": stats.are_queues_truncated,
            "workers": [_worker(worker, stats.now) for worker in stats.workers],
            "are_workers_truncated": stats.are_workers_truncated,
            "ticks": [
                {"schedule": tick.schedule_name, "id": tick.schedule_id, "due": _time(tick.due_at, stats.now)}
                for tick in stats.ticks
            ],
            "groups": [_group(group, stats.now, show_errors=show_errors) for group in stats.groups],
            "points": [_point(point, stats) for point in reversed(stats.series)],
            "seen_at": date_format(timezone.localtime(stats.now), "H:i:s"),
        }


def queue_context(queue: QueueStatus) -> dict[str, Any]:
    """Return a queue's figures, formatted."""
    return {
        "name": queue.name,
        "waiting": _bounded(queue.waiting),
        "oldest": format_duration(_seconds(queue.oldest_seconds)) or "-",
        "running": _count(queue.running),
        "per_minute": _rate(queue.per_minute),
        "paused": queue.paused_at is not None,
        "paused_by": queue.paused_by,
    }


def _worker(worker: WorkerStatus, now: datetime) -> dict[str, Any]:
    return {
        "id": worker.worker_id,
        "process": f"{worker.hostname}:{worker.pid}",
        "is_stale": worker.is_stale,
        "is_stopping": worker.state == "stopping" or worker.stop_requested_at is not None,
        "queues": ", ".join(worker.queues) or _("all"),
        "busy": f"{len(worker.running)} / {worker.concurrency}" if worker.concurrency else _("scheduler"),
        "memory": filesizeformat(worker.memory_bytes) if worker.memory_bytes else "-",
        "running": [
            {
                "id": job.job_id,
                "name": job.name,
                "since": format_duration(now - job.since) if job.since else "",
                "progress_done": job.progress_done,
                "progress_total": job.progress_total,
                "progress_message": job.progress_message,
            }
            for job in worker.running[:MAX_RUNNING_SHOWN]
        ],
        "more": max(len(worker.running) - MAX_RUNNING_SHOWN, 0),
    }


def _period(request: HttpRequest) -> str:
    given = request.GET.get("period", DEFAULT_PERIOD)
    return given if given in PERIODS else DEFAULT_PERIOD


def _figures(stats: DashboardSnapshot) -> list[dict[str, Any]]:
    waiting = BoundedCount(
        number=sum(queue.waiting.number for queue in stats.queues),
        is_more=stats.are_queues_truncated or any(queue.waiting.is_more for queue in stats.queues),
    )
    oldest = max((queue.oldest_seconds or 0 for queue in stats.queues), default=0)
    next_retry = format_duration(stats.next_retry_at - stats.now) if stats.next_retry_at else ""
    return [
        {"name": _("Succeeded"), "value": _count(stats.totals.succeeded), "kind": "succeeded"},
        {"name": _("Retried"), "value": _count(stats.totals.retried), "kind": "retried"},
        {"name": _("Dead"), "value": _count(stats.totals.dead), "kind": "dead"},
        {
            "name": _("Waiting"),
            "value": _bounded(waiting),
            "query": "state=ready",
            "note": _("oldest: %s") % format_duration(timedelta(seconds=oldest)) if oldest else "",
        },
        {"name": _("Running"), "value": _count(stats.running), "query": "state=running"},
        {
            "name": _("Retries scheduled"),
            "value": _bounded(stats.retries),
            "query": "state=scheduled",
            "note": _("next in %s") % next_retry if next_retry else "",
        },
        {"name": _("Open dead letters"), "value": _bounded(stats.open_dead_letters), "query": "state=dead"},
    ]


def _warnings(stats: DashboardSnapshot) -> Any:
    """Yield warnings about the page's figures, with what to do."""
    if not stats.workers:
        yield _("No workers are running: no jobs run, and no statistics are updated. Start one: manage.py runworker")
    elif stats.rolled_up_until is None:
        yield _("No statistics yet; they follow about ten seconds after jobs finish.")
    elif stats.now - stats.rolled_up_until > MAX_STATS_LAG:
        yield _("Statistics are as of %s; workers are behind with updating them.") % date_format(
            timezone.localtime(stats.rolled_up_until), "H:i:s"
        )
    stale = sum(worker.is_stale for worker in stats.workers)
    if stale:
        yield (
            ngettext(
                "%d worker has no heartbeat; its jobs will be rescued.",
                "%d workers have no heartbeat; their jobs will be rescued.",
                stale,
            )
            % stale
        )


def _chart(stats: DashboardSnapshot) -> dict[str, Any]:
    """Return the charts' data as lists: seconds since the epoch, counts, and percentiles in seconds."""
    return {
        "span": stats.span_seconds,
        "at": [int(point.starts_at.timestamp()) for point in stats.series],
        "succeeded": [point.succeeded for point in stats.series],
        "retried": [point.retried for point in stats.series],
        "dead": [point.dead for point in stats.series],
        "wait50": [point.wait.p50 for point in stats.series],
        "wait95": [point.wait.p95 for point in stats.series],
        "run50": [point.run.p50 for point in stats.series],
        "run95": [point.run.p95 for point in stats.series],
    }


def _percentiles(durations: Durations) -> list[str]:
    return [format_duration(_seconds(value)) or "-" for value in (durations.p50, durations.p95, durations.p99)]


def _point(point: Point, stats: DashboardSnapshot) -> dict[str, Any]:
    return {
        "at": _time(point.starts_at, stats.now),
        "succeeded": _count(point.succeeded),
        "retried": _count(point.retried),
        "dead": _count(point.dead),
        "durations": [*_percentiles(point.wait)[:2], *_percentiles(point.run)[:2]],
    }


def _group(group: GroupSummary, now: datetime, *, show_errors: bool) -> dict[str, Any]:
    error = group.error_class.rpartition(".")[2] or group.reason
    return {
        "fingerprint": group.fingerprint,
        "job_name": group.job_name,
        "error": error,
        "message": group.error_message.partition("\n")[0] if show_errors else "",
        "open": _count(group.open),
        "last": _("%s ago") % (format_duration(now - group.last_died_at) or "0"),
    }


def _seconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)


def _time(instant: datetime, now: datetime) -> str:
    """Return the time of day, with the date unless it is today's."""
    local = timezone.localtime(instant)
    is_today = local.date() == timezone.localtime(now).date()
    return date_format(local, "H:i" if is_today else "SHORT_DATETIME_FORMAT")


def _count(number: int) -> str:
    return number_format(number, force_grouping=True)


def _bounded(number: BoundedCount) -> str:
    return _count(number.number) + ("+" if number.is_more else "")


def _rate(per_minute: float) -> str:
    return number_format(per_minute, decimal_pos=1 if per_minute < 10 else 0, force_grouping=True)
