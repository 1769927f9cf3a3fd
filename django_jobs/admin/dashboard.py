"""The dashboard: one page of what happens now and happened lately, renewed by one JSON answer.

``store/stats/dashboard.py`` has the numbers. Here they become words; the template is the same for the first view
and for each renewal, so that the page needs no script to be read.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ..store.dead_letters.groups import Group
from ..store.stats.dashboard import Bounded, Durations, Point, QueueNow, Snapshot, WorkerNow, snapshot
from .jobs.labels import duration_words
from .site.permissions import VIEW_ARGUMENTS, may, require

PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
PERIOD_NAMES = {"1h": _("1 hour"), "24h": _("24 hours"), "7d": _("7 days")}
DEFAULT_PERIOD = "1h"
LATE = timedelta(minutes=1)
"""Counts that are older than this are said to be behind."""
SHOWN_RUNNING = 5


def dashboard_urls(site: AdminSite) -> list[URLPattern]:
    """Return the addresses of the page and of its renewals, for a ModelAdmin's ``get_urls``."""
    dashboard = Dashboard(site)
    return [
        path("dashboard/", site.admin_view(dashboard.page), name="django_jobs_dashboard"),
        path("dashboard/now/", site.admin_view(dashboard.now), name="django_jobs_dashboard_now"),
    ]


class Dashboard:
    """The views on one admin site."""

    def __init__(self, site: AdminSite) -> None:
        self._site = site

    def page(self, request: HttpRequest) -> HttpResponse:
        """Show the whole page."""
        self._enter(request)
        period = _period(request)
        seen = snapshot(period=PERIODS[period])
        now_address = reverse(f"{self._site.name}:django_jobs_dashboard_now")
        context = {
            **self._site.each_context(request),
            "title": _("Dashboard"),
            "periods": [(key, name, key == period) for key, name in PERIOD_NAMES.items()],
            "now_address": f"{now_address}?period={period}",
            "chart": _chart(seen),
            "zone": timezone.get_current_timezone_name(),
            **self._context(request, seen),
        }
        return TemplateResponse(request, "admin/django_jobs/dashboard.html", context)

    def now(self, request: HttpRequest) -> JsonResponse:
        """Return what changes of the page: its parts above and below the charts as HTML, and the charts' data."""
        self._enter(request)
        seen = snapshot(period=PERIODS[_period(request)])
        context = self._context(request, seen)
        parts = {
            part: render_to_string(f"admin/django_jobs/dashboard_{part}.html", context, request=request)
            for part in ("figures", "now")
        }
        response = JsonResponse({**parts, "chart": _chart(seen)})
        response["Cache-Control"] = "no-store"
        return response

    def _enter(self, request: HttpRequest) -> None:
        require(request, "view_job")
        request.current_app = self._site.name  # what {% url %} goes by

    def _context(self, request: HttpRequest, seen: Snapshot) -> dict[str, Any]:
        shows_errors = may(request, VIEW_ARGUMENTS)
        return {
            "figures": _figures(seen),
            "durations": [(_("Waited"), _percentiles(seen.wait)), (_("Ran"), _percentiles(seen.run))],
            "notices": list(_notices(seen)),
            "queues": [queue_words(queue) for queue in seen.queues],
            "are_queues_cut": seen.are_queues_cut,
            "workers": [_worker(worker, seen.now) for worker in seen.workers],
            "are_workers_cut": seen.are_workers_cut,
            "ticks": [
                {"schedule": tick.schedule_name, "id": tick.schedule_id, "due": _time(tick.due_at, seen.now)}
                for tick in seen.ticks
            ],
            "groups": [_group(group, seen.now, shows_errors=shows_errors) for group in seen.groups],
            "points": [_point(point, seen) for point in reversed(seen.series)],
            "seen_at": date_format(timezone.localtime(seen.now), "H:i:s"),
        }


def queue_words(queue: QueueNow) -> dict[str, Any]:
    """Return a queue's figures as they are shown."""
    return {
        "name": queue.name,
        "waiting": _bounded(queue.waiting),
        "oldest": duration_words(_seconds(queue.oldest_seconds)) or "-",
        "running": _count(queue.running),
        "per_minute": _rate(queue.per_minute),
        "paused": queue.paused_at is not None,
        "paused_by": queue.paused_by,
    }


def _worker(worker: WorkerNow, now: datetime) -> dict[str, Any]:
    return {
        "id": worker.worker_id,
        "process": f"{worker.hostname}:{worker.pid}",
        "is_stale": worker.is_stale,
        "is_stopping": worker.state == "stopping" or worker.stop_requested_at is not None,
        "queues": ", ".join(worker.queues) or _("all"),
        "busy": f"{len(worker.running)} / {worker.concurrency}" if worker.concurrency else _("schedules"),
        "memory": filesizeformat(worker.memory_bytes) if worker.memory_bytes else "-",
        "running": [
            {
                "id": job.job_id,
                "name": job.name,
                "since": duration_words(now - job.since) if job.since else "",
                "progress_done": job.progress_done,
                "progress_total": job.progress_total,
                "progress_message": job.progress_message,
            }
            for job in worker.running[:SHOWN_RUNNING]
        ],
        "more": max(len(worker.running) - SHOWN_RUNNING, 0),
    }


def _period(request: HttpRequest) -> str:
    given = request.GET.get("period", DEFAULT_PERIOD)
    return given if given in PERIODS else DEFAULT_PERIOD


def _figures(seen: Snapshot) -> list[dict[str, Any]]:
    waiting = Bounded(
        number=sum(queue.waiting.number for queue in seen.queues),
        is_more=seen.are_queues_cut or any(queue.waiting.is_more for queue in seen.queues),
    )
    oldest = max((queue.oldest_seconds or 0 for queue in seen.queues), default=0)
    next_retry = duration_words(seen.next_retry_at - seen.now) if seen.next_retry_at else ""
    return [
        {"name": _("Succeeded"), "value": _count(seen.totals.succeeded), "kind": "succeeded"},
        {"name": _("Tried again"), "value": _count(seen.totals.retried), "kind": "retried"},
        {"name": _("Died"), "value": _count(seen.totals.dead), "kind": "dead"},
        {
            "name": _("Waiting now"),
            "value": _bounded(waiting),
            "query": "state=ready",
            "note": _("oldest: %s") % duration_words(timedelta(seconds=oldest)) if oldest else "",
        },
        {"name": _("Running now"), "value": _count(seen.running), "query": "state=running"},
        {
            "name": _("Retries to come"),
            "value": _bounded(seen.retries),
            "query": "state=scheduled",
            "note": _("next in %s") % next_retry if next_retry else "",
        },
        {"name": _("Open dead letters"), "value": _bounded(seen.open_letters), "query": "state=dead"},
    ]


def _notices(seen: Snapshot) -> Any:
    """Yield what somebody should know before believing the page, and what to do."""
    if not seen.workers:
        yield _("No worker lives: nothing is run, and nothing is counted. Start one: manage.py runworker")
    elif seen.counted_until is None:
        yield _("Nothing has been counted yet; figures of the past come some ten seconds after jobs end.")
    elif seen.now - seen.counted_until > LATE:
        yield _("Figures of the past are as of %s; workers are behind with counting.") % date_format(
            timezone.localtime(seen.counted_until), "H:i:s"
        )
    stale = sum(worker.is_stale for worker in seen.workers)
    if stale:
        yield (
            ngettext(
                "%d worker has no heartbeat: its jobs will be rescued.",
                "%d workers have no heartbeat: their jobs will be rescued.",
                stale,
            )
            % stale
        )


def _chart(seen: Snapshot) -> dict[str, Any]:
    """Return the charts' data, a list each: seconds since the epoch, counts, and seconds that half and 95 % took."""
    return {
        "span": seen.span_seconds,
        "at": [int(point.starts_at.timestamp()) for point in seen.series],
        "succeeded": [point.succeeded for point in seen.series],
        "retried": [point.retried for point in seen.series],
        "dead": [point.dead for point in seen.series],
        "wait50": [point.wait.p50 for point in seen.series],
        "wait95": [point.wait.p95 for point in seen.series],
        "run50": [point.run.p50 for point in seen.series],
        "run95": [point.run.p95 for point in seen.series],
    }


def _percentiles(durations: Durations) -> list[str]:
    return [duration_words(_seconds(value)) or "-" for value in (durations.p50, durations.p95, durations.p99)]


def _point(point: Point, seen: Snapshot) -> dict[str, Any]:
    return {
        "at": _time(point.starts_at, seen.now),
        "succeeded": _count(point.succeeded),
        "retried": _count(point.retried),
        "dead": _count(point.dead),
        "durations": [*_percentiles(point.wait)[:2], *_percentiles(point.run)[:2]],
    }


def _group(group: Group, now: datetime, *, shows_errors: bool) -> dict[str, Any]:
    error = group.error_class.rpartition(".")[2] or group.reason
    return {
        "fingerprint": group.fingerprint,
        "job_name": group.job_name,
        "error": error,
        "message": group.error_message.partition("\n")[0] if shows_errors else "",
        "open": _count(group.open),
        "last": _("%s ago") % (duration_words(now - group.last_died_at) or "0"),
    }


def _seconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)


def _time(instant: datetime, now: datetime) -> str:
    """Return the time of day, with the day where it is not today's."""
    local = timezone.localtime(instant)
    is_today = local.date() == timezone.localtime(now).date()
    return date_format(local, "H:i" if is_today else "SHORT_DATETIME_FORMAT")


def _count(number: int) -> str:
    return number_format(number, force_grouping=True)


def _bounded(number: Bounded) -> str:
    return _count(number.number) + ("+" if number.is_more else "")


def _rate(per_minute: float) -> str:
    return number_format(per_minute, decimal_pos=1 if per_minute < 10 else 0, force_grouping=True)
