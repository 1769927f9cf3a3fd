"""Lists that never count: newest first by id, a window at a time, whatever the filter and the table's size."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from ...policy.filter_values import FilterError
from ...store.search.keyset_pages import KeysetPage
from ...store.search.newest_first import newest_first
from .base import ReadOnlyAdmin

M = TypeVar("M", bound=Model)

CURSOR_PARAMETER = "below"
"""The parameter of an address that says where the window begins."""


class WindowChangeList(ChangeList):
    """Django's list over a window. Filters, search and actions are Django's own; sorting and page numbers are gone."""

    window: KeysetPage[Any]
    is_first: bool = True
    """False on the pages behind the newest."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Leave out where the window begins: it is no filter."""
        return {
            key: value for key, value in super().get_filters_params(params).items() if key != CURSOR_PARAMETER
        }

    def get_results(self, request: HttpRequest) -> None:
        """Read one window. What the template asks about counts is said of this page only."""
        try:
            self.window = self.read_window(request, after=request.GET.get(CURSOR_PARAMETER, ""))
        except FilterError as error:
            raise IncorrectLookupParameters(str(error)) from None
        self.show_rows(self.window.rows)

    def show_rows(self, rows: list[Any]) -> None:
        """Have the template show these rows; links to other filters and searches begin at the newest again."""
        self.result_list: Any = rows
        self.result_count = self.full_result_count = len(rows)
        self.show_full_result_count = True
        self.show_admin_actions = bool(rows)
        self.can_show_all = self.multi_page = False
        self.paginator = Paginator(rows, self.list_per_page)
        self.is_first = self.params.pop(CURSOR_PARAMETER, None) is None
        self.filter_params.pop(CURSOR_PARAMETER, None)

    def read_window(self, request: HttpRequest, *, after: str) -> KeysetPage[Any]:
        """Return the rows to show; an admin page with an index for its filter overrides this."""
        return newest_first(self.queryset, after=after, limit=self.list_per_page)

    @property
    def older_url(self) -> str | None:
        """The address of the next window, None at the table's end."""
        older = self.window.next_cursor
        return None if older is None else self.get_query_string({CURSOR_PARAMETER: older})

    @property
    def newest_url(self) -> str | None:
        """The address of the first window, None where this is it."""
        return None if self.is_first else self.get_query_string()


class WindowedAdmin(ReadOnlyAdmin[M]):
    """A read-only list over windows. Columns cannot be sorted: no index would serve it."""

    change_list_template = "admin/django_jobs/windowed_change_list.html"
    sortable_by: ClassVar[Any] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that reads windows."""
        return WindowChangeList

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | None:
        """Act on the rows that were ticked only: "all that match" goes by a job of its own, in bounded chunks."""
        if request.POST.get("select_across", "0") != "0":
            ticked = request.POST.copy()
            ticked["select_across"] = "0"
            request.POST = ticked  # type: ignore[assignment]  # a QueryDict, only mutable
        return super().response_action(request, *args, **kwargs)
