"""Lists by pages that never count: each page reads a bounded number of rows, whatever the filter and the table's size.

The reading is that of ``store/search``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from ...policy.filter_values import FilterError
from ...store.search.keyset_pages import KeysetPage
from ...store.search.newest_first import newest_first
from .page_admin import M, ReadOnlyAdmin

CURSOR_PARAMETER = "below"
"""The parameter of an address that says where the page begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Links below a list, for ``admin/django_jobs/paging.html``."""

    first_url: str | None
    next_url: str | None
    note: str = ""


def search_note(page: KeysetPage[Any]) -> str:
    """Return how far a truncated search has looked; empty if it has seen all."""
    if not page.is_truncated:
        return ""
    if not page.highest:
        return gettext("Searched part of the table; later pages may have more matches.")
    text = gettext("Searched ids %(lowest)s to %(highest)s; later pages may have more matches.")
    return text % {"lowest": page.lowest, "highest": page.highest}


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
        self.paging = Paging(
            first_url=None if is_first else self.get_query_string(),
            next_url=None if cursor is None else self.get_query_string({CURSOR_PARAMETER: cursor}),
            note=search_note(self.page),
        )

    def read_page(self, request: HttpRequest, after: str) -> KeysetPage[Any]:
        """Return the page behind ``after``, newest first by id; a list with an index for its filter overrides this."""
        return newest_first(self.queryset, after=after, limit=self.list_per_page)

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
