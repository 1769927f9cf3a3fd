"""Limits: which there are, how far each is used, who waits; and letting jobs in again where one was closed."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import helpers
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ... import registry
from ...models import Limit
from ...policy.filter_values import FilterError
from ...policy.limits import LimitKind
from ...redaction import redact_limit_key
from ...store.limits.search import LimitFilter, LimitStatus, limits_page
from ...store.search.keyset_pages import KeysetPage
from ..jobs.filters import ChoicesFilter
from ..site.base import format_timestamp
from ..site.paging import CURSOR_PARAMETER, WindowChangeList, WindowedAdmin
from ..site.permissions import REOPEN, VIEW_ARGUMENTS, has_permission
from . import page
from .labels import LIMIT_KIND_LABELS, format_capped_count, limit_status_badge, rule_text, usage_text


class KindFilter(ChoicesFilter):
    """By kind."""

    title = _("kind")
    parameters = ("kind",)

    def values(self) -> list[tuple[str, Any]]:
        """Return the four kinds."""
        return [(kind.name.lower(), text) for kind, text in LIMIT_KIND_LABELS.items()]


class NameFilter(ChoicesFilter):
    """By name: those of the limits that this process's jobs have."""

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
    """Return what the address asks for; keys are searched for those only who may see arguments."""
    kinds = {kind.name.lower(): kind for kind in LimitKind}
    return LimitFilter(
        kind=kinds.get(request.GET.get("kind", "")),
        name=request.GET.get("name", ""),
        key_part=query.strip() if has_permission(request, VIEW_ARGUMENTS) else "",
    )


class LimitChangeList(WindowChangeList):
    """A page of ``store/limits/search.py`` in Django's own list."""

    page: KeysetPage[LimitStatus]

    def get_results(self, request: HttpRequest) -> None:
        """Read one page, each limit with its figures."""
        wanted = read_filter(request, self.query)
        try:
            self.page = limits_page(
                wanted, after=request.GET.get(CURSOR_PARAMETER, ""), limit=self.list_per_page
            )
        except FilterError as error:
            raise IncorrectLookupParameters(str(error)) from None
        for shown in self.page.rows:
            vars(shown.limit)["shown"] = shown
        self.show_rows([shown.limit for shown in self.page.rows])

    @property
    def older_url(self) -> str | None:
        """The address of the next page, None at the end."""
        return (
            None
            if self.page.next_cursor is None
            else self.get_query_string({CURSOR_PARAMETER: self.page.next_cursor})
        )


@admin.register(Limit)
class LimitAdmin(WindowedAdmin[Limit]):
    """Lists limits by name, kind and key; a limit's page says who has its permits and who waits."""

    list_display = (
        "kind_display", "name", "key_display", "status_display", "rule_text", "use", "waiting", "waiting_since",
    )  # fmt: skip
    list_display_links = ("kind_display", "name")
    list_filter = (KindFilter, NameFilter)
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("key",)
    search_help_text = _("Part of a key")
    actions = ("reopen_selected",)
    ordering = ("name", "kind", "key")
    change_list_template = "admin/django_jobs/limit/change_list.html"

    class Media:
        css: ClassVar[Any] = {"all": ("django_jobs/admin.css", "django_jobs/job.css")}

    def url(self, name: str, *args: Any) -> str:
        """Return the address of one of this app's pages on this site."""
        return reverse(f"{self.admin_site.name}:django_jobs_{name}", args=args)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: a limit is changed by verbs only."""
        return False

    def has_reopen_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may reopen limits."""
        return has_permission(request, REOPEN)

    def get_urls(self) -> list[Any]:
        """Add the address that asks, and reopens."""

        def reopen(request: HttpRequest, pk: str) -> HttpResponse:
            if not self.has_view_permission(request):
                raise PermissionDenied
            request.current_app = self.admin_site.name
            return page.reopen_view(self, request, pk)

        wrapped = self.admin_site.admin_view(reopen)
        return [path("<str:pk>/reopen/", wrapped, name="django_jobs_limit_reopen"), *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that browses."""
        return LimitChangeList

    def get_list_display(self, request: HttpRequest) -> Any:
        """Leave the keys out for those who may not see arguments, of which they are made."""
        if has_permission(request, VIEW_ARGUMENTS):
            return self.list_display
        return [name for name in self.list_display if name != "key_display"]

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Leave the search out for those who may not see keys: what it finds tells what they are."""
        return self.search_fields if has_permission(request, VIEW_ARGUMENTS) else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Limit], search_term: str
    ) -> tuple[QuerySet[Limit], bool]:
        """Return the same: ``store/limits/search.py`` searches."""
        return queryset, False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a limit's page, which is no form."""
        if not self.has_view_permission(request) or request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        request.current_app = self.admin_site.name
        return page.detail(self, request, unquote(object_id))

    @admin.action(description=_("Let in again now, where closed"), permissions=["reopen"])
    def reopen_selected(self, request: HttpRequest, limits: QuerySet[Limit]) -> HttpResponse | None:
        """Ask, then reopen the selected limits."""
        chosen = list(limits.order_by("name", "kind", "key"))
        if request.POST.get("confirmed"):
            page.reopen_many(self, request, chosen)
            return None
        fields = [
            ("action", "reopen_selected"),
            *((helpers.ACTION_CHECKBOX_NAME, limit.pk) for limit in chosen),
        ]
        return page.confirm(self, request, chosen, back=request.get_full_path(), fields=fields)

    @admin.display(description=_("kind"))
    def kind_display(self, limit: Limit) -> str:
        """Return the kind in the current language."""
        return str(LIMIT_KIND_LABELS[LimitKind(limit.kind)])

    @admin.display(description=_("key"))
    def key_display(self, limit: Limit) -> str:
        """Return the key, masked where it is a secret's."""
        return redact_limit_key(LimitKind(limit.kind), limit.name, limit.key) or "-"

    @admin.display(description=_("rule"))
    def rule_text(self, limit: Limit) -> str:
        """Return what it allows."""
        return rule_text(_shown(limit).rule)

    @admin.display(description=_("in use"))
    def use(self, limit: Limit) -> str:
        """Return how many permits are in use, and of how many."""
        return usage_text(_shown(limit))

    @admin.display(description=_("waiting"))
    def waiting(self, limit: Limit) -> str:
        """Return how many jobs wait at it, counted up to a thousand."""
        return format_capped_count(_shown(limit).waiting)

    @admin.display(description=_("waiting since"))
    def waiting_since(self, limit: Limit) -> str:
        """Return since when the one waits that has waited longest."""
        return format_timestamp(_shown(limit).waiting_since)

    @admin.display(description=_("status"))
    def status_display(self, limit: Limit) -> str | SafeString:
        """Return what keeps everybody out."""
        return limit_status_badge(_shown(limit))


def _shown(limit: Limit) -> LimitStatus:
    shown: LimitStatus = vars(limit)["shown"]
    return shown
