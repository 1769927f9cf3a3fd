"""Lists by pages that never count: each page reads a bounded number of rows, whatever the filter and the table's size.

The reading is that of ``store/search``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.translation import gettext

from ...policy.filter_values import FilterError
from ...store.search.keyset_pages import SCAN_LIMIT, KeysetPage
from ...store.search.newest_first import newest_first
from ...store.search.search_time import SearchTime, search_on
from .page_admin import M, ReadOnlyAdmin
from .times import format_timestamp

R = TypeVar("R")

CURSOR_PARAMETER = "below"
"""The parameter of an address that says where the page begins."""
PAGE_SECONDS = 2.0
"""How long the search for one page may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Links below a list, for ``admin/django_jobs/paging.html``."""

    first_url: str | None
    next_url: str | None
    note: str = ""
    is_cut: bool = False
    """The search ended before the page was full; it can go on."""


def page_time() -> SearchTime:
    """Return how long the search for one page may take."""
    return SearchTime(clock=time.monotonic, seconds=PAGE_SECONDS)


def paging_of(page: KeysetPage[Any], *, first_url: str | None, next_url: str | None) -> Paging:
    """Return the links below a page, with how far a search that was cut has looked."""
    return Paging(
        first_url=first_url,
        next_url=next_url,
        note=search_note(page, is_first=first_url is None),
        is_cut=page.is_truncated,
    )


def search_note(page: KeysetPage[Any], *, is_first: bool) -> str:
    """Return how far a search that was cut has looked, or that it has found nothing; else an empty text."""
    if not page.is_truncated:
        return "" if page.rows else gettext("Nothing found.")
    if not page.highest:
        text = gettext("Looked at {number} rows of this list.")
    elif page.back_to is None:
        text = gettext("Looked at the ids {lowest} to {highest}.")
    elif is_first:
        text = gettext("Looked at the newest {number} jobs, back to {time}.")
    else:
        text = gettext("Looked at {number} more jobs, back to {time}.")
    return format_html(
        text,
        number=number_format(page.scanned, force_grouping=True),
        lowest=page.lowest,
        highest=page.highest,
        time=format_timestamp(page.back_to),
    )


class PagedChangeList(ChangeList):
    """Django's list over one page. Filters, search and actions are Django's own; sorting and page numbers are gone."""

    page: KeysetPage[Any]

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Leave out the cursor, which is no filter."""
        filters = super().get_filters_params(params)
        return {key: value for key, value in filters.items() if key != CURSOR_PARAMETER}

    def get_results(self, request: HttpRequest) -> None:
        """Read one page. Counts that the template asks for are those of this page only."""
        try:
            self.page = self.read_page(request, request.GET.get(CURSOR_PARAMETER, ""))
        except FilterError as error:
            raise IncorrectLookupParameters(str(error)) from None
        self.result_list: Any = self.page_rows()
        self.result_count = self.full_result_count = len(self.result_list)
        self.show_full_result_count = True
        self.show_admin_actions = bool(self.result_list)
        self.can_show_all = self.multi_page = False
        self.paginator = Paginator(self.result_list, self.list_per_page)
        # Links to other filters and searches begin at the first page again.
        is_first = self.params.pop(CURSOR_PARAMETER, None) is None
        self.filter_params.pop(CURSOR_PARAMETER, None)
        cursor = self.page.next_cursor
        self.paging = paging_of(
            self.page,
            first_url=None if is_first else self.get_query_string(),
            next_url=None if cursor is None else self.get_query_string({CURSOR_PARAMETER: cursor}),
        )

    def read_page(self, request: HttpRequest, after: str) -> KeysetPage[Any]:
        """Return the page behind ``after``, newest first by id; a list with an index for its filter overrides this."""
        return self.search(newest_first, self.queryset, after=after)

    def search(self, read: Callable[..., KeysetPage[R]], *args: Any, after: str, **options: Any) -> KeysetPage[R]:
        """Return the page of ``read(*args, after, limit, scan)``, searched on while it is not full and time is left."""

        def step(after: str, limit: int, scan: int) -> KeysetPage[R]:
            return read(*args, after=after, limit=limit, scan=scan, **options)

        return search_on(step, after=after, limit=self.list_per_page, scan=SCAN_LIMIT, within=page_time())

    def page_rows(self) -> list[Any]:
        """Return the rows of the page as the list shows them."""
        return self.page.rows


class PagedAdmin(ReadOnlyAdmin[M]):
    """A read-only list by pages. Columns cannot be sorted: no index would serve it."""

    change_list_template = "admin/django_jobs/change_list.html"
    changelist_class: ClassVar[type[ChangeList]] = PagedChangeList
    sortable_by: ClassVar[Any] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that reads pages."""
        return self.changelist_class

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[M], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Apply actions to ticked rows only: all that match are left to a job, which works in bounded chunks."""
        if request.POST.get("select_across", "0") != "0":
            ticked = request.POST.copy()
            ticked["select_across"] = "0"
            request.POST = ticked  # type: ignore[assignment]  # a QueryDict, only mutable
        return super().response_action(request, queryset, *args, **kwargs)
