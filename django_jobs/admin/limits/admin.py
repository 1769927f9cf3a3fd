"""The admin of limits: how far each is used, which jobs wait, and reopening a closed one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from ... import registry
from ...models import Limit
from ...policy.limits import LimitKind
from ...redaction import redact_limit_key
from ...store.limits.search import LimitFilter, LimitStatus, limits_page
from ...store.search.keyset_pages import KeysetPage
from ..site.detail import DetailAdmin
from ..site.filters import ChoicesFilter
from ..site.labels import LIMIT_KIND_LABELS
from ..site.page_admin import column, needs, selection_fields
from ..site.paging import PagedChangeList
from ..site.permissions import REOPEN, VIEW_ARGUMENTS, has_permission
from ..site.times import format_timestamp
from . import page
from .labels import format_capped_count, limit_status_badge, rule_text, usage_text


class KindFilter(ChoicesFilter):
    """By kind."""

    title = _("kind")
    parameters = ("kind",)

    def values(self) -> list[tuple[str, Any]]:
        """Return the kinds."""
        return [(kind.name.lower(), label) for kind, label in LIMIT_KIND_LABELS.items()]


class NameFilter(ChoicesFilter):
    """By name, among the limits of the jobs that this process knows."""

    title = _("name")
    parameters = ("name",)

    def values(self) -> list[tuple[str, Any]]:
        """Return the names in the code."""
        names = {
            limit.name or definition.name
            for definition in registry.all_definitions()
            for limit in definition.options.limits
        }
        return [(name, name) for name in sorted(names)]


def read_filter(request: HttpRequest, query: str) -> LimitFilter:
    """Return the filter of the address; keys are searched only for users who may see arguments."""
    kinds = {kind.name.lower(): kind for kind in LimitKind}
    return LimitFilter(
        kind=kinds.get(request.GET.get("kind", "")),
        name=request.GET.get("name", ""),
        key_part=query.strip() if has_permission(request, VIEW_ARGUMENTS) else "",
    )


class LimitChangeList(PagedChangeList):
    """A page of ``store/limits/search.py`` in Django's list."""

    def read_page(self, request: HttpRequest, after: str) -> KeysetPage[LimitStatus]:
        """Read one page of limits with their figures."""
        return self.search(limits_page, read_filter(request, self.query), after=after)

    def page_rows(self) -> list[Any]:
        """Return the limits, each with its figures attached."""
        for status in self.page.rows:
            vars(status.limit)["status"] = status
        return [status.limit for status in self.page.rows]


@admin.register(Limit)
class LimitAdmin(DetailAdmin[Limit]):
    """Lists limits by name, kind and key."""

    detail_page = page
    list_display = (
        "kind_display", "name", "key_display", "status_display", "rule_display", "use", "waiting", "waiting_since",
    )  # fmt: skip
    list_display_links = ("kind_display", "name")
    list_filter = (KindFilter, NameFilter)
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("key",)
    search_help_text = _("Part of a key")
    changelist_class = LimitChangeList
    actions = ("reopen_selected",)
    ordering = ("name", "kind", "key")

    has_reopen_permission = needs(REOPEN)

    def get_urls(self) -> list[Any]:
        """Add the page that asks before a limit is reopened."""
        return [self.page_path("<str:pk>/reopen/", page.reopen_view, "limit_reopen"), *super().get_urls()]

    def get_list_display(self, request: HttpRequest) -> Any:
        """Leave out the keys, which are made of arguments, for users who may not see these."""
        if has_permission(request, VIEW_ARGUMENTS):
            return self.list_display
        return [name for name in self.list_display if name != "key_display"]

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Leave out the search for users who may not see keys: its result tells what they are."""
        return self.search_fields if has_permission(request, VIEW_ARGUMENTS) else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Limit], search_term: str
    ) -> tuple[QuerySet[Limit], bool]:
        """Leave the search to ``store/limits/search.py``."""
        return queryset, False

    @admin.action(description=_("Reopen closed limits"), permissions=["reopen"])
    def reopen_selected(self, request: HttpRequest, limits: QuerySet[Limit]) -> HttpResponse | None:
        """Ask, then reopen the selected limits."""
        chosen = list(limits.order_by("name", "kind", "key"))
        if request.POST.get("confirmed"):
            page.reopen_many(self, request, chosen)
            return None
        fields = selection_fields("reopen_selected", chosen)
        return page.confirm_reopen(self, request, chosen, back=request.get_full_path(), fields=fields)

    kind_display = column(_("kind"), lambda limit: str(LIMIT_KIND_LABELS[LimitKind(limit.kind)]))
    key_display = column(_("key"), lambda limit: redact_limit_key(LimitKind(limit.kind), limit.name, limit.key) or "-")
    rule_display = column(_("rule"), lambda limit: rule_text(_status(limit).rule))
    use = column(_("in use"), lambda limit: usage_text(_status(limit)))
    waiting = column(_("waiting"), lambda limit: format_capped_count(_status(limit).waiting))
    waiting_since = column(_("waiting since"), lambda limit: format_timestamp(_status(limit).waiting_since))
    status_display = column(_("status"), lambda limit: limit_status_badge(_status(limit)))


def _status(limit: Limit) -> LimitStatus:
    status: LimitStatus = vars(limit)["status"]
    return status
