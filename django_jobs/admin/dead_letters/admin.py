"""The admin of dead letters: a list, groups by error, and redrive, resolve and purge for one or all that match."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ...models import DeadLetter
from ...policy.error_text import class_name
from ...policy.filter_values import FilterError
from ...store.dead_letters.search import id_bounds
from ...store.search.keyset_pages import KeysetPage
from ...store.search.newest_first import newest_first
from ..bulk.urls import bulk_paths
from ..site.detail import DetailAdmin
from ..site.labels import death_reason_label
from ..site.links import page_link, request_of
from ..site.page_admin import column, needs, selection_fields
from ..site.paging import PagedChangeList
from ..site.permissions import PURGE_DEAD_LETTERS, REDRIVE, RESOLVE, VIEW_ARGUMENTS, has_permission
from ..site.times import format_timestamp
from . import bulk_actions, exports, group_actions, groups, page
from .actions import ACTIONS, apply
from .filters import FILTERS, read_dead_letter_filter

UNLIMITED_SCAN = 2**62


class DeadLetterChangeList(PagedChangeList):
    """A page of dead letters; if an index serves the filter, the search is unbounded."""

    def read_page(self, request: HttpRequest, after: str) -> KeysetPage[DeadLetter]:
        """Read the dead letters without their tracebacks."""
        rows, limit = self.queryset.defer("traceback"), self.list_per_page
        wanted = read_dead_letter_filter(request)
        has_status = request.GET.get("status", "open") != "all"
        if has_status and set(wanted.to_query()) <= {"fingerprint"} and not self.query:
            return newest_first(rows, after=after, limit=limit, scan=UNLIMITED_SCAN, is_indexed=True)
        above, below = id_bounds(wanted)
        return self.search(newest_first, rows, after=after, below=below, above=above)


@admin.register(DeadLetter)
class DeadLetterAdmin(DetailAdmin[DeadLetter]):
    """Lists dead letters, newest first; those of one error are a group with a page of its own."""

    detail_page = page
    list_display = ("died", "job_name", "error", "reason_display", "status", "job_link")
    list_filter = FILTERS
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("job_name",)
    search_help_text = _("Part of a job name, an error class or a message")
    changelist_class = DeadLetterChangeList
    actions = ("redrive_selected", "resolve_selected", "purge_selected")

    class Media:
        css = {"all": ("django_jobs/dead_letters.css", "django_jobs/triage.css")}

    has_redrive_permission = needs(REDRIVE)
    has_resolve_permission = needs(RESOLVE)
    has_purge_permission = needs(PURGE_DEAD_LETTERS)

    @property
    def section_url(self) -> str:
        """The groups by error."""
        return self.url("deadlettergroups")

    def get_urls(self) -> list[Any]:
        """Add the groups, the actions on one, a group or all that match, and the exports."""
        return [
            self.page_path("groups/", groups.groups_view, "deadlettergroups"),
            self.page_path("groups/<str:fingerprint>/", groups.group_view, "deadlettergroup"),
            self.page_path("groups/<str:fingerprint>/evidence/", groups.evidence_view, "deadlettergroup_evidence"),
            self.page_path("groups/<str:fingerprint>/<slug:key>/", group_actions.action_view, "deadlettergroup_act"),
            *bulk_paths(self, bulk_actions.SUBJECT),
            self.page_path("export/<slug:form>/", exports.export_view, "deadletter_export"),
            self.page_path("<int:pk>/act/<slug:key>/", page.action_view, "deadletter_act"),
            self.page_path("<int:pk>/text/", page.text_view, "deadletter_text"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], search_term: str
    ) -> tuple[QuerySet[DeadLetter], bool]:
        """Search names, and messages if the user may read them."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(job_name__icontains=term) | Q(error_class__icontains=term)
        if has_permission(request, VIEW_ARGUMENTS):
            found |= Q(error_message__icontains=term)
        return queryset.filter(found), False

    def get_list_display(self, request: HttpRequest) -> Any:
        """Leave out the messages for users who may not read them."""
        if has_permission(request, VIEW_ARGUMENTS):
            return self.list_display
        return [name if name != "error" else "error_name" for name in self.list_display]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list with links to the groups, bulk actions and exports."""
        request.current_app = self.admin_site.name
        try:
            wanted = read_dead_letter_filter(request)
        except FilterError as error:
            return self.redirect_invalid(request, error)
        tools = [
            (self.url("deadlettergroups"), _("By error")),
            *bulk_actions.bulk_action_links(self, request, wanted),
            *exports.export_links(self, request),
        ]
        response: HttpResponse = super().changelist_view(request, {"tools": tools, **(extra_context or {})})
        return response

    @admin.display(description=_("error"))
    def error(self, dead_letter: DeadLetter) -> str:
        """Return the class without its module and the first line of the message, cut."""
        line = dead_letter.error_message.partition("\n")[0]
        return f"{self.error_name(dead_letter)}: {line if len(line) <= 80 else line[:77] + '...'}"

    died = column(_("died at"), lambda dead_letter: format_timestamp(dead_letter.died_at))
    error_name = column(_("error"), lambda dead_letter: class_name(dead_letter.error_class))
    reason_display = column(_("reason"), lambda dead_letter: death_reason_label(dead_letter.reason))

    @admin.display(description=_("job"))
    def job_link(self, dead_letter: DeadLetter) -> str | SafeString:
        """Return a link to the job while it exists."""
        return page_link(request_of(dead_letter), self.admin_site, "job", dead_letter.job_id, dead_letter.job_id)

    @admin.action(description=_("Redrive: run the jobs again with all their attempts"), permissions=["redrive"])
    def redrive_selected(self, request: HttpRequest, dead_letters: QuerySet[DeadLetter]) -> None:
        """Make the jobs of the selected dead letters ready again."""
        self._apply_action(request, "redrive", dead_letters)

    @admin.action(description=_("Resolve: close, leave the jobs dead"), permissions=["resolve"])
    def resolve_selected(self, request: HttpRequest, dead_letters: QuerySet[DeadLetter]) -> None:
        """Close the selected dead letters."""
        self._apply_action(request, "resolve", dead_letters)

    @admin.action(description=_("Purge: delete the jobs permanently"), permissions=["purge"])
    def purge_selected(self, request: HttpRequest, dead_letters: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Ask, then delete the jobs of the selected dead letters."""
        if request.POST.get("confirmed"):
            self._apply_action(request, "purge", dead_letters)
            return None
        chosen = list(dead_letters.defer("traceback").order_by("-pk"))
        fields = selection_fields("purge_selected", chosen)
        return page.confirm_purge(self, request, chosen, back=request.get_full_path(), fields=fields)

    def _apply_action(self, request: HttpRequest, key: str, dead_letters: QuerySet[DeadLetter]) -> None:
        ids = list(dead_letters.order_by().values_list("pk", flat=True))
        changed = apply(request, ACTIONS[key], ids)
        text = ngettext(
            "%(changed)d of %(chosen)d dead letter %(past)s.",
            "%(changed)d of %(chosen)d dead letters %(past)s.",
            len(ids),
        ) % {"changed": changed, "chosen": len(ids), "past": ACTIONS[key].past}
        self.message_user(request, text, messages.SUCCESS if changed else messages.WARNING)
