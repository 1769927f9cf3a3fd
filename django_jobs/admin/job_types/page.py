"""The page of a job type: its figures, a heat map of its run times, and what belongs to it."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext

from ... import registry
from ...builtin_jobs import has_fixed_arguments
from ...models import CronSchedule, Job, Limit
from ...options import JobOptions
from ...policy.error_text import class_name
from ...policy.heat_map import Band, heat_map
from ...policy.histogram import seconds_of
from ...policy.job_filter import JobFilter
from ...policy.limits import LimitKind
from ...policy.states import State
from ...policy.type_trend import compare
from ...registry import DefinedJob
from ...store.dead_letters.groups import groups_page
from ...store.search.jobs import find_jobs
from ...store.stats.job_types import TypeFigures, TypeTable, read_types
from ..site.databases import row_text
from ..site.labels import LIMIT_KIND_LABELS
from ..site.links import list_url, may_open, page_url
from ..site.page_admin import PageAdmin
from ..site.permissions import ENQUEUE_NEW, has_permission
from ..site.times import day_text, format_timestamp
from .list import (
    BEFORE_NAMES,
    PERIODS,
    chosen_period,
    duration_text,
    figures_context,
    period_tabs,
    trend_context,
)

MAX_LISTED = 10
OPTIONS_SHOWN_ELSEWHERE = {"queue_name", "limits", "takes_context"}


def type_view(model_admin: PageAdmin[Job], request: HttpRequest) -> HttpResponse:
    """Show the type whose name is in the address; one that never ran and is not registered is not found."""
    name = type_name(request)
    period = chosen_period(request)
    table = read_types(PERIODS[period], name=name)
    definition = registry.find(name)
    figures = table.types[0] if table.types else TypeFigures(name=name)
    dead = find_jobs(JobFilter(name=name, state=State.DEAD), limit=MAX_LISTED).rows
    site = model_admin.admin_site
    jobs_url = list_url(request, site, "job", urlencode({"name": name}))
    context = model_admin.page_context(
        request,
        title=name,
        trail=[(model_admin.url("job_types"), gettext("Job types"))],
        periods=period_tabs(period, name=name),
        figures=figures_context(figures.now),
        before=figures_context(figures.before),
        before_name=BEFORE_NAMES[period],
        trend=trend_context(figures, compare(figures.now, figures.before)) if table.types else None,
        heat=_heat_context(table, figures),
        dead=[(page_url(request, site, "job", job.pk), row_text(job.pk), _ended(job)) for job in dead],
        dead_url=list_url(request, site, "job", urlencode({"name": name, "state": State.DEAD.value})),
        groups=_groups(model_admin, request, name),
        schedules=_schedules(model_admin, request, name),
        limits=_limits(model_admin, request, name, definition),
        queue=_queue(model_admin, request, definition),
        options=_options(definition),
        is_known=definition is not None,
        signature=f"{name}{definition.signature.signature}" if definition else "",
        jobs_url=jobs_url,
        enqueue_url=_enqueue_url(model_admin, request, name, definition),
        until=format_timestamp(table.rolled_up_until) if table.rolled_up_until else None,
    )
    return TemplateResponse(request, "admin/django_jobs/jobtype/detail.html", context)


def type_name(request: HttpRequest) -> str:
    """Return the name in the address. Raises Http404 if there is none."""
    name = request.GET.get("name", "").strip()
    if not name:
        raise Http404(gettext("The address names no job type."))
    return name


def _ended(job: Job) -> Any:
    return format_timestamp(job.finished_at) if job.finished_at else ""


def _heat_context(table: TypeTable, figures: TypeFigures) -> dict[str, Any] | None:
    """Return the heat map, None if nothing ran."""
    bands = heat_map([column.runs for column in figures.columns(table.starts)])
    if not bands:
        return None
    return {
        "columns": [_column_title(start, table.column_seconds) for start in table.starts],
        "rows": [{"title": _band_title(band), "cells": [_cell(*cell) for cell in band.cells]} for band in bands],
    }


def _column_title(start: datetime, seconds: int) -> str:
    return day_text(start) if seconds == 86_400 else f"{timezone.localtime(start):%H:%M}"  # days are those of UTC


def _band_title(band: Band) -> str:
    longest = duration_text(seconds_of(band.last))
    return gettext("up to %(duration)s") % {"duration": longest}


def _cell(number: int, level: int) -> tuple[str, int]:
    return (number_format(number, force_grouping=True) if number else "", level)


def _groups(model_admin: PageAdmin[Job], request: HttpRequest, name: str) -> list[dict[str, Any]] | None:
    """Return the open groups of dead letters, None if the user may not see them."""
    if not may_open(request, model_admin.admin_site, "deadletter"):
        return None
    return [
        {
            "url": model_admin.url("deadlettergroup", group.fingerprint),
            "error": class_name(group.error_class) or group.reason,
            "open": number_format(group.open, force_grouping=True),
            "last": format_timestamp(group.last_died_at),
        }
        for group in groups_page(job_name=name, limit=MAX_LISTED).rows
    ]


def _schedules(model_admin: PageAdmin[Job], request: HttpRequest, name: str) -> list[tuple[str, str, Any]]:
    rows = CronSchedule.objects.filter(job_name=name).order_by("name")[:MAX_LISTED]
    return [
        (
            page_url(request, model_admin.admin_site, "cronschedule", row.pk),
            row.name,
            format_timestamp(row.next_due_at) if row.next_due_at else "",
        )
        for row in rows
    ]


def _limits(
    model_admin: PageAdmin[Job], request: HttpRequest, name: str, definition: DefinedJob | None
) -> list[tuple[str, str]]:
    """Return the rules of the definition, and a link to the limits that are stored under the type's name."""
    limits = [("", repr(limit)) for limit in definition.options.limits] if definition else []
    kinds = Limit.objects.filter(name=name).order_by("kind").values_list("kind", flat=True).distinct()
    for kind in kinds:
        query = urlencode({"q": name})
        address = list_url(request, model_admin.admin_site, "limit", query)
        limits.append((address, str(LIMIT_KIND_LABELS[LimitKind(kind)])))
    return limits


def _queue(model_admin: PageAdmin[Job], request: HttpRequest, definition: DefinedJob | None) -> tuple[str, str] | None:
    if definition is None:
        return None
    name = definition.options.resolve("queue_name")
    return list_url(request, model_admin.admin_site, "job", urlencode({"queue": name})), name


def _options(definition: DefinedJob | None) -> list[tuple[str, str]]:
    """Return the options of the definition that are not the defaults, as code."""
    if definition is None:
        return []
    return [
        (option.name, repr(getattr(definition.options, option.name)))
        for option in fields(JobOptions)
        if option.name not in OPTIONS_SHOWN_ELSEWHERE and getattr(definition.options, option.name) != option.default
    ]


def _enqueue_url(model_admin: PageAdmin[Job], request: HttpRequest, name: str, definition: DefinedJob | None) -> str:
    if definition is None or has_fixed_arguments(name) or not has_permission(request, ENQUEUE_NEW):
        return ""
    return f"{model_admin.url('job_type_enqueue')}?{urlencode({'name': name})}"
