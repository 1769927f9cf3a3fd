"""The dashboard: health in sentences, current and recent figures, refreshed by one JSON response.

It is the app's index. Where a project has a view or a template of its own for that, it has an address of its own.
``store/stats/dashboard.py`` reads the numbers, this module formats them. The first view and each refresh share their
templates, so that the page can be read without a script.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from ..policy.error_text import class_name
from ..store.dead_letters.groups import GroupSummary
from ..store.stats.dashboard import (
    BoundedCount,
    DashboardSnapshot,
    Durations,
    Point,
    QueueStatus,
    dashboard_snapshot,
)
from ..store.stats.live_workers import WorkerStatus
from ..store.stats.service_facts import describe_service
from .database_sums import database_sums
from .deploys import deploy_lines, deploys_context
from .health import health_context
from .running import idle_text, load_text, running_context
from .site.app_index import index_url, shows_dashboard
from .site.labels import format_duration
from .site.links import may_open
from .site.numbers import rate_text
from .site.page_admin import PageAdmin, own_frame
from .site.permissions import VIEW_ARGUMENTS, has_permission, require_permission
from .site.queue_forecast import forecast_html
from .site.times import format_timestamp, time_text, zone_text

PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
PERIOD_NAMES = {"1h": _("1 hour"), "24h": _("24 hours"), "7d": _("7 days")}
DEFAULT_PERIOD = "1h"
TEMPLATE = "admin/django_jobs/dashboard.html"
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
        """Lead to the app's index if that is the dashboard, else show it."""
        self._enter(request)
        site = self._admin.admin_site
        if shows_dashboard(site):
            query = request.GET.urlencode()
            return HttpResponseRedirect(f"{index_url(site)}?{query}" if query else index_url(site))
        context = site.each_context(request) | self._page_context(request)
        return TemplateResponse(request, TEMPLATE, context)

    def index_context(self, request: HttpRequest) -> dict[str, Any] | None:
        """Return what the app's index shows to users who may see the dashboard, None to others."""
        if not has_permission(request, "view_job"):
            return None
        self._enter(request)
        return {"jobs_index_template": TEMPLATE, "is_app_index": True, **self._page_context(request)}

    def _page_context(self, request: HttpRequest) -> dict[str, Any]:
        period = _period(request)
        stats = dashboard_snapshot(period=PERIODS[period])
        return {
            **own_frame(self._admin.opts, title=_("Dashboard"), trail=[]),
            "media": self._admin.media,
            "periods": [(key, name, key == period) for key, name in PERIOD_NAMES.items()],
            "now_url": f"{self._admin.url('dashboard_now')}?period={period}",
            "chart": _chart(stats),
            "zone": timezone.get_current_timezone_name(),
            "zone_text": zone_text(stats.now),
            **self._context(request, stats),
        }

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
        site = self._admin.admin_site
        links = {model: may_open(request, site, model) for model in ("worker", "cronschedule", "deadletter")}
        return {
            "links": links,
            **database_sums(site),
            "figures": _figures(stats, can_view_groups=links["deadletter"]),
            "durations": [
                (_("Wait time"), _percentiles(stats.wait)),
                (_("Run time"), _percentiles(stats.run)),
            ],
            "sentences": health_context(self._admin, request, describe_service(stats)),
            "queues": [queue_context(queue, stats.now) for queue in stats.queues],
            "are_queues_truncated": stats.are_queues_truncated,
            "workers": [_worker(worker, stats.now) for worker in stats.workers],
            "are_workers_truncated": stats.are_workers_truncated,
            "ticks": [
                {
                    "schedule": tick.schedule_name,
                    "id": tick.schedule_id,
                    "due": format_timestamp(tick.due_at, now=stats.now),
                }
                for tick in stats.ticks
            ],
            "groups": [_group(group, stats.now, show_errors=show_errors) for group in stats.groups],
            "deploys": deploys_context(stats.deploys, since=stats.series[0].starts_at, now=stats.now),
            "points": [_point(point, stats) for point in reversed(stats.series)],
            "seen_at": time_text(stats.now, now=stats.now),
        }


def queue_context(queue: QueueStatus, now: datetime) -> dict[str, Any]:
    """Return a queue's figures, formatted. Beyond the count's bound the forecast says how many wait."""
    return {
        "name": queue.name,
        "waiting": _bounded(queue.waiting),
        "oldest": format_duration(_seconds(queue.oldest_seconds)) or "-",
        "running": _count(queue.running),
        "per_minute": rate_text(queue.per_minute),
        "forecast": forecast_html(queue.forecast, now=now, with_number=queue.waiting.is_more),
        "trend": queue.forecast.trend.value,
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
        "busy": load_text(worker),
        "memory": filesizeformat(worker.memory_bytes) if worker.memory_bytes else "-",
        "idle": idle_text(worker),
        "running": [running_context(job, now) for job in worker.running[:MAX_RUNNING_SHOWN]],
        "more": max(len(worker.running) - MAX_RUNNING_SHOWN, 0),
    }


def _period(request: HttpRequest) -> str:
    given = request.GET.get("period", DEFAULT_PERIOD)
    return given if given in PERIODS else DEFAULT_PERIOD


def _figures(stats: DashboardSnapshot, *, can_view_groups: bool) -> list[dict[str, Any]]:
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
        {
            "name": _("Running"),
            "value": _count(stats.running),
            "query": "state=running",
            "note": _("in hand: %s") % _count(stats.in_hand) if stats.in_hand else "",
        },
        {
            "name": _("Retries scheduled"),
            "value": _bounded(stats.retries),
            "query": "state=scheduled",
            "note": _("next in %s") % next_retry if next_retry else "",
        },
        {
            "name": _("Open dead letters"),
            "value": _bounded(stats.open_dead_letters),
            "query": "state=dead",
            "has_groups": can_view_groups,
        },
    ]


def _chart(stats: DashboardSnapshot) -> dict[str, Any]:
    """Return the charts' data as lists: seconds since the epoch, counts, and percentiles in seconds."""
    return {
        "span": stats.span_seconds,
        "deploys": deploy_lines(stats.deploys, since=stats.series[0].starts_at, now=stats.now),
        "at": [int(point.starts_at.timestamp()) for point in stats.series],
        "succeeded": [point.succeeded for point in stats.series],
        "retried": [point.retried for point in stats.series],
        "dead": [point.dead for point in stats.series],
        "arrived": [point.arrived for point in stats.series],
        "waiting": [point.waiting for point in stats.series],
        "wait50": [point.wait.p50 for point in stats.series],
        "wait95": [point.wait.p95 for point in stats.series],
        "run50": [point.run.p50 for point in stats.series],
        "run95": [point.run.p95 for point in stats.series],
    }


def _percentiles(durations: Durations) -> list[str]:
    return [format_duration(_seconds(value)) or "-" for value in (durations.p50, durations.p95, durations.p99)]


def _point(point: Point, stats: DashboardSnapshot) -> dict[str, Any]:
    return {
        "at": format_timestamp(point.starts_at, now=stats.now, is_relative=False),
        "succeeded": _count(point.succeeded),
        "retried": _count(point.retried),
        "dead": _count(point.dead),
        "arrived": "-" if point.arrived is None else _count(point.arrived),
        "waiting": "-" if point.waiting is None else _count(point.waiting),
        "durations": [*_percentiles(point.wait)[:2], *_percentiles(point.run)[:2]],
    }


def _group(group: GroupSummary, now: datetime, *, show_errors: bool) -> dict[str, Any]:
    error = class_name(group.error_class) or group.reason
    return {
        "fingerprint": group.fingerprint,
        "job_name": group.job_name,
        "error": error,
        "message": group.error_message.partition("\n")[0] if show_errors else "",
        "open": _count(group.open),
        "last": format_timestamp(group.last_died_at, now=now),
    }


def _seconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)


def _count(number: int) -> str:
    return number_format(number, force_grouping=True)


def _bounded(number: BoundedCount) -> str:
    return _count(number.number) + ("+" if number.is_more else "")
