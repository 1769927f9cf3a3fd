"""The list of job types: how they end, how long they wait and run, and what got worse since the same time before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...models import Job
from ...policy.histogram import percentile
from ...policy.type_rollup import OTHER_TYPES, SummedTotals
from ...policy.type_trend import Mark, TypeTrend, compare, failure_rate
from ...store.stats.job_types import TypeFigures, read_types
from ..site.labels import format_duration
from ..site.links import type_url
from ..site.page_admin import PageAdmin
from ..site.paging import Paging
from ..site.sparkline import sparkline
from ..site.times import format_timestamp

PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
PERIOD_NAMES = {"1h": _("1 hour"), "24h": _("24 hours"), "7d": _("7 days")}
DEFAULT_PERIOD = "24h"
BEFORE_NAMES = {
    "1h": _("the same hour yesterday"),
    "24h": _("the day before"),
    "7d": _("the week before"),
}
MARK_LABELS = {Mark.FAILS_MORE: _("fails more"), Mark.SLOWER: _("slower"), Mark.NEW: _("new"), Mark.BETTER: _("better")}
MARK_CLASSES = {Mark.FAILS_MORE: "jobs-badge-bad", Mark.SLOWER: "jobs-badge-warn"}
SHARES = (0.5, 0.95, 0.99)

SortKey = Callable[[tuple[TypeFigures, TypeTrend]], Any]
COLUMNS: dict[str, tuple[Any, SortKey]] = {
    "name": (_("Type"), lambda row: row[0].name),
    "worse": (_("Change"), lambda row: (*row[1].severity, failure_rate(row[0].now), row[0].now.run_seconds)),
    "runs": (_("Runs"), lambda row: row[0].now.ended),
    "failed": (_("Failed"), lambda row: failure_rate(row[0].now)),
    "total": (_("Total run time"), lambda row: row[0].now.run_seconds),
    "run": (_("Run time: 50, 95, 99 %"), lambda row: percentile(row[0].now.runs, 0.95) or 0),
    "wait": (_("Wait time: 50, 95, 99 %"), lambda row: percentile(row[0].now.waits, 0.95) or 0),
}
DEFAULT_SORT = "-worse"
PAGE_SIZE = 50
PAGE_PARAMETER = "p"
"""As in Django's lists, but the first page is 1."""


def types_view(model_admin: PageAdmin[Job], request: HttpRequest) -> HttpResponse:
    """Show the types of the period by pages, what got worse first."""
    period, sort = chosen_period(request), _sort(request)
    table = read_types(PERIODS[period])
    rows = [(figures, compare(figures.now, figures.before)) for figures in table.types]
    key = COLUMNS[sort.removeprefix("-")][1]
    rows.sort(key=lambda row: row[0].name)
    rows.sort(key=key, reverse=sort.startswith("-"))
    all_seconds = sum(figures.now.run_seconds for figures, _trend in rows)
    pages = Paginator(rows, PAGE_SIZE)
    page = pages.get_page(request.GET.get(PAGE_PARAMETER))
    context = model_admin.page_context(
        request,
        title=gettext("Job types"),
        periods=period_tabs(period, sort=sort),
        period_name=PERIOD_NAMES[period],
        before_name=BEFORE_NAMES[period],
        columns=[_column(name, title, sort, period) for name, (title, _key) in COLUMNS.items()],
        rows=[_row(model_admin, request, *row, table.starts, period=period, all_seconds=all_seconds) for row in page],
        paging=_paging(page, period=period, sort=sort),
        until=format_timestamp(table.rolled_up_until) if table.rolled_up_until else None,
    )
    context["breadcrumbs"] = []
    return TemplateResponse(request, "admin/django_jobs/jobtype/list.html", context)


def _paging(page: Page[tuple[TypeFigures, TypeTrend]], **kept: str) -> Paging | None:
    """Return the links below the list; None if all types are on one page."""
    if page.paginator.num_pages == 1:
        return None
    note = gettext("%(first)d to %(last)d of %(number)d types")
    values = {"first": page.start_index(), "last": page.end_index(), "number": page.paginator.count}
    following = str(page.next_page_number()) if page.has_next() else ""
    return Paging(
        first_url=f"?{urlencode(kept)}" if page.has_previous() else None,
        next_url=f"?{urlencode({**kept, PAGE_PARAMETER: following})}" if following else None,
        note=note % values,
    )


def chosen_period(request: HttpRequest) -> str:
    """Return the period of the address, a day if it is none."""
    period = request.GET.get("period", "")
    return period if period in PERIODS else DEFAULT_PERIOD


def period_tabs(chosen: str, **kept: str) -> list[tuple[str, Any, bool]]:
    """Return the links to the periods; ``kept`` are the other parameters."""
    return [(f"?{urlencode({'period': key, **kept})}", name, key == chosen) for key, name in PERIOD_NAMES.items()]


def figures_context(totals: SummedTotals) -> dict[str, Any]:
    """Return the figures of a type, formatted."""
    return {
        "runs": number_format(totals.ended, force_grouping=True),
        "failed": number_format(totals.failed, force_grouping=True),
        "rate": rate_text(failure_rate(totals)),
        "waits": [duration_text(percentile(totals.waits, share)) for share in SHARES],
        "run_times": [duration_text(percentile(totals.runs, share)) for share in SHARES],
        "total": duration_text(totals.run_seconds),
    }


def rate_text(share: float) -> str:
    """Return a share in percent: with a digit if it is small, and never 0 for what is not."""
    percent = share * 100
    if 0 < percent < 0.1:
        return gettext("under %(number)s %%") % {"number": number_format(0.1, decimal_pos=1)}
    digits = 1 if 0 < percent < 9.95 else 0
    return gettext("%(number)s %%") % {"number": number_format(round(percent, digits), decimal_pos=digits)}


def duration_text(seconds: float | None) -> str:
    """Return a duration, "-" for None."""
    if seconds is not None and 0 < seconds < 0.001:
        return gettext("under 1 ms")
    return "-" if seconds is None else format_duration(timedelta(seconds=seconds))


def trend_context(figures: TypeFigures, trend: TypeTrend) -> dict[str, Any]:
    """Return the mark of a type in words, and the figures that it stands for."""
    p95, p95_before = percentile(figures.now.runs, 0.95), percentile(figures.before.runs, 0.95)
    texts = {
        Mark.FAILS_MORE: _changed(rate_text(failure_rate(figures.before)), rate_text(failure_rate(figures.now))),
        Mark.SLOWER: _changed(duration_text(p95_before), duration_text(p95)),
    }
    return {
        "mark": MARK_LABELS.get(trend.mark, ""),
        "class": MARK_CLASSES.get(trend.mark, ""),
        "text": texts.get(trend.mark, ""),
    }


def type_label(name: str) -> str:
    """Return the name of a type as pages show it."""
    return gettext("all other types") if name == OTHER_TYPES else name


def _changed(before: str, now: str) -> str:
    return gettext("%(before)s → %(now)s") % {"before": before, "now": now}


def _row(
    model_admin: PageAdmin[Job],
    request: HttpRequest,
    figures: TypeFigures,
    trend: TypeTrend,
    starts: Sequence[datetime],
    *,
    period: str,
    all_seconds: float,
) -> dict[str, Any]:
    url = "" if figures.name == OTHER_TYPES else type_url(request, model_admin.admin_site, figures.name, period=period)
    columns = figures.columns(starts)
    ended = [column.ended for column in columns]
    return {
        "name": type_label(figures.name),
        "url": url,
        **figures_context(figures.now),
        "share": rate_text(figures.now.run_seconds / all_seconds) if all_seconds else "",
        "trend": trend_context(figures, trend),
        "sparkline": sparkline(ended),
        "failed_sparkline": sparkline([column.failed for column in columns], highest=max(ended, default=0)),
    }


def _sort(request: HttpRequest) -> str:
    sort = request.GET.get("sort", "")
    return sort if sort.removeprefix("-") in COLUMNS else DEFAULT_SORT


def _column(name: str, title: Any, sort: str, period: str) -> dict[str, Any]:
    """Return the head of a column; its link sorts by it, the greatest first, or the other way round."""
    is_sorted = sort.removeprefix("-") == name
    is_descending = is_sorted and sort.startswith("-")
    first = "" if name == "name" else "-"
    wanted = f"{'' if is_descending else '-'}{name}" if is_sorted else f"{first}{name}"
    return {
        "title": title,
        "url": f"?{urlencode({'period': period, 'sort': wanted})}",
        "sorted": ("descending" if is_descending else "ascending") if is_sorted else "",
    }
