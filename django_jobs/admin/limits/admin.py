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
from ...policy.limits import Kind
from ...redaction import shown_key
from ...store.limits.search import LimitFilter, LimitsPage, ShownLimit, limits_page
from ..jobs.filters import Choices
from ..site.base import exactly
from ..site.paging import BELOW, WindowChangeList, WindowedAdmin
from ..site.permissions import REOPEN, VIEW_ARGUMENTS, may
from . import page
from .labels import KINDS, counted_words, rule_words, standing_words, use_words


class KindFilter(Choices):
    """By kind."""

    title = _("kind")
    parameters = ("kind",)

    def values(self) -> list[tuple[str, Any]]:
        """Return the four kinds."""
        return [(kind.name.lower(), text) for kind, text in KINDS.items()]


class NameFilter(Choices):
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
    kinds = {kind.name.lower(): kind for kind in Kind}
    return LimitFilter(
        kind=kinds.get(request.GET.get("kind", "")),
        name=request.GET.get("name", ""),
        key_part=query.strip() if may(request, VIEW_ARGUMENTS) else "",
    )


class LimitChangeList(WindowChangeList):
    """A page of ``store/limits/search.py`` in Django's own list."""

    page: LimitsPage

    def get_results(self, request: HttpRequest) -> None:
        """Read one page, each limit with its figures."""
        wanted = read_filter(request, self.query)
        try:
            self.page = limits_page(wanted, after=request.GET.get(BELOW, ""), limit=self.list_per_page)
        except FilterError as error:
            raise IncorrectLookupParameters(str(error)) from None
        for shown in self.page.rows:
            vars(shown.limit)["shown"] = shown
        self.show_rows([shown.limit for shown in self.page.rows])

    @property
    def older_address(self) -> str | None:
        """The address of the next page, None at the end."""
        return None if self.page.older is None else self.get_query_string({BELOW: self.page.older})


@admin.register(Limit)
class LimitAdmin(WindowedAdmin[Limit]):
    """Lists limits by name, kind and key; a limit's page says who has its permits and who waits."""

    list_display = (
        "kind_words", "name", "shown_key", "standing", "rule_words", "use", "waiting", "waiting_since",
    )  # fmt: skip
    list_display_links = ("kind_words", "name")
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
        return may(request, REOPEN)

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
        if may(request, VIEW_ARGUMENTS):
            return self.list_display
        return [name for name in self.list_display if name != "shown_key"]

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Leave the search out for those who may not see keys: what it finds tells what they are."""
        return self.search_fields if may(request, VIEW_ARGUMENTS) else ()

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
        fields = [("action", "reopen_selected"), *((helpers.ACTION_CHECKBOX_NAME, one.pk) for one in chosen)]
        return page.confirm(self, request, chosen, back=request.get_full_path(), fields=fields)

    @admin.display(description=_("kind"))
    def kind_words(self, limit: Limit) -> str:
        """Return the kind in the current language."""
        return str(KINDS[Kind(limit.kind)])

    @admin.display(description=_("key"))
    def shown_key(self, limit: Limit) -> str:
        """Return the key, masked where it is a secret's."""
        return shown_key(Kind(limit.kind), limit.name, limit.key) or "-"

    @admin.display(description=_("rule"))
    def rule_words(self, limit: Limit) -> str:
        """Return what it allows."""
        return rule_words(_shown(limit).rule)

    @admin.display(description=_("in use"))
    def use(self, limit: Limit) -> str:
        """Return how many permits are in use, and of how many."""
        return use_words(_shown(limit))

    @admin.display(description=_("waiting"))
    def waiting(self, limit: Limit) -> str:
        """Return how many jobs wait at it, counted up to a thousand."""
        return counted_words(_shown(limit).waiting)

    @admin.display(description=_("waiting since"))
    def waiting_since(self, limit: Limit) -> str:
        """Return since when the one waits that has waited longest."""
        return exactly(_shown(limit).waiting_since)

    @admin.display(description=_("status"))
    def standing(self, limit: Limit) -> str | SafeString:
        """Return what keeps everybody out."""
        return standing_words(_shown(limit))


def _shown(limit: Limit) -> ShownLimit:
    shown: ShownLimit = vars(limit)["shown"]
    return shown
