"""Dead letters: what failed for good, newest first or by its error; redrive, resolve or purge it here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ...models import DeadLetter
from ...policy.filter_values import FilterError
from ...store.dead_letters.search import id_bounds
from ...store.search.keyset_pages import KeysetPage
from ...store.search.newest_first import newest_first
from ..site.base import filter_error_text
from ..site.paging import WindowChangeList, WindowedAdmin
from ..site.permissions import PURGE_DEAD_LETTERS, REDRIVE, RESOLVE, VIEW_ARGUMENTS, has_permission
from . import bulk_actions, exports, groups, page
from .actions import ACTIONS, apply
from .filters import FILTERS, read_dead_letter_filter, reason_label

UNLIMITED_SCAN = 2**62


class DeadLetterChangeList(WindowChangeList):
    """A window of letters; where an index serves the filter the window is the whole table."""

    def read_window(self, request: HttpRequest, *, after: str) -> KeysetPage[Any]:
        """Read the letters, without their tracebacks."""
        rows = self.queryset.defer("traceback")
        given = set(read_dead_letter_filter(request).to_query())
        has_status = request.GET.get("status", "open") != "all"
        if has_status and given <= {"fingerprint"} and not self.query:
            return newest_first(rows, after=after, limit=self.list_per_page, scan=UNLIMITED_SCAN)
        above, below = id_bounds(read_dead_letter_filter(request))
        return newest_first(rows, after=after, below=below, above=above, limit=self.list_per_page)


@admin.register(DeadLetter)
class DeadLetterAdmin(WindowedAdmin[DeadLetter]):
    """Lists letters, the newest first; those of one error are a group, which has a page of its own."""

    list_display = ("died_at", "job_name", "error", "why", "status", "job_link")
    list_filter = FILTERS
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("job_name",)
    search_help_text = _("Part of a job's or an error's name, or of its message")
    actions = ("redrive_selected", "resolve_selected", "purge_selected")
    change_list_template = "admin/django_jobs/deadletter/change_list.html"

    class Media:
        css = {"all": ("django_jobs/admin.css", "django_jobs/job.css", "django_jobs/letters.css")}

    def url(self, name: str, *args: Any) -> str:
        """Return the address of one of this app's pages on this site."""
        return reverse(f"{self.admin_site.name}:django_jobs_{name}", args=args)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: a letter is changed by verbs only, each with its own permission."""
        return False

    def has_redrive_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may redrive."""
        return has_permission(request, REDRIVE)

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may resolve."""
        return has_permission(request, RESOLVE)

    def has_purge_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may purge."""
        return has_permission(request, PURGE_DEAD_LETTERS)

    def get_urls(self) -> list[Any]:
        """Add the groups, what a letter's page offers, what is done to all that match, and the exports."""

        def at(route: str, view: Any, name: str) -> Any:
            def wrapped(request: HttpRequest, **kwargs: Any) -> HttpResponse:
                if not self.has_view_permission(request):
                    raise PermissionDenied
                request.current_app = self.admin_site.name
                try:
                    answer: HttpResponse = view(self, request, **kwargs)
                except FilterError as error:
                    return self._refuse(request, error)
                return answer

            return path(route, self.admin_site.admin_view(wrapped), name=f"django_jobs_{name}")

        return [
            at("groups/", groups.groups_view, "deadlettergroups"),
            at("groups/<str:fingerprint>/", groups.group_view, "deadlettergroup"),
            at("groups/<str:fingerprint>/<slug:verb>/", groups.action_view, "deadlettergroup_act"),
            at("matching/<slug:verb>/", bulk_actions.confirm_view, "deadletter_matching"),
            at("bulk/<int:pk>/", bulk_actions.progress_view, "deadletter_bulk"),
            at("bulk/<int:pk>/now/", bulk_actions.progress_json_view, "deadletter_bulk_now"),
            at("bulk/<int:pk>/stop/", bulk_actions.stop_view, "deadletter_bulk_stop"),
            at("export/<slug:form>/", exports.export_view, "deadletter_export"),
            at("<int:pk>/act/<slug:verb>/", page.action_view, "deadletter_act"),
            at("<int:pk>/text/", page.text_view, "deadletter_text"),
            *super().get_urls(),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that reads windows of letters."""
        return DeadLetterChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], search_term: str
    ) -> tuple[QuerySet[DeadLetter], bool]:
        """Search names, and messages where the user may read them."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(job_name__icontains=term) | Q(error_class__icontains=term)
        if has_permission(request, VIEW_ARGUMENTS):
            found |= Q(error_message__icontains=term)
        return queryset.filter(found), False

    def get_list_display(self, request: HttpRequest) -> Any:
        """Leave the messages out for those who may not read them."""
        if has_permission(request, VIEW_ARGUMENTS):
            return self.list_display
        return [name if name != "error" else "error_name" for name in self.list_display]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list, with links to what can be done to all that match it."""
        request.current_app = self.admin_site.name
        try:
            wanted = read_dead_letter_filter(request)
        except FilterError as error:
            return self._refuse(request, error)
        own = {
            "matching": bulk_actions.bulk_action_links(self, request, wanted),
            "exports": exports.export_links(self, request),
        }
        answer: HttpResponse = super().changelist_view(request, {**own, **(extra_context or {})})
        return answer

    def _refuse(self, request: HttpRequest, error: FilterError) -> HttpResponse:
        """Answer an address that says nothing with what is wrong with it, and the whole list."""
        self.message_user(request, filter_error_text(error), messages.ERROR)
        return HttpResponseRedirect(self.url("deadletter_changelist"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a letter's page, which is no form."""
        if not self.has_view_permission(request) or request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        request.current_app = self.admin_site.name
        letter = self.get_object(request, unquote(object_id))
        if letter is None:
            return page.redirect_missing(self, request, object_id)
        return page.detail(self, request, letter)

    @admin.display(description=_("error"))
    def error(self, letter: DeadLetter) -> str:
        """Return the class without its module and the first line of the message, cut."""
        line = letter.error_message.partition("\n")[0]
        return f"{self.error_name(letter)}: {line if len(line) <= 80 else line[:77] + '...'}"

    @admin.display(description=_("error"))
    def error_name(self, letter: DeadLetter) -> str:
        """Return the class without its module."""
        return letter.error_class.rpartition(".")[2]

    @admin.display(description=_("reason"))
    def why(self, letter: DeadLetter) -> str:
        """Return why the job died, in words."""
        return reason_label(letter.reason)

    @admin.display(description=_("job"))
    def job_link(self, letter: DeadLetter) -> str | SafeString:
        """Return a link to the job, while it is there."""
        if letter.job_id is None:
            return "-"
        return format_html('<a href="{}">{}</a>', self.url("job_change", letter.job_id), letter.job_id)

    @admin.action(description=_("Redrive: run the jobs again with all their tries"), permissions=["redrive"])
    def redrive_selected(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Make the selected letters' jobs ready again."""
        self._apply_action(request, "redrive", letters)

    @admin.action(description=_("Resolve: nothing more is to be done"), permissions=["resolve"])
    def resolve_selected(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Close the selected letters; their jobs stay dead."""
        self._apply_action(request, "resolve", letters)

    @admin.action(description=_("Purge: delete the jobs for good"), permissions=["purge"])
    def purge_selected(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Ask, then delete the selected letters' jobs."""
        if request.POST.get("confirmed"):
            self._apply_action(request, "purge", letters)
            return None
        chosen = list(letters.defer("traceback").order_by("-pk"))
        fields = [
            ("action", "purge_selected"),
            *((helpers.ACTION_CHECKBOX_NAME, letter.pk) for letter in chosen),
        ]
        return page.confirm(self, request, chosen, back=request.get_full_path(), fields=fields)

    def _apply_action(self, request: HttpRequest, key: str, letters: QuerySet[DeadLetter]) -> None:
        ids = list(letters.order_by().values_list("pk", flat=True))
        changed = apply(request, ACTIONS[key], ids)
        text = ngettext(
            "%(changed)d of %(chosen)d letter: %(past)s.",
            "%(changed)d of %(chosen)d letters: %(past)s.",
            len(ids),
        ) % {"changed": changed, "chosen": len(ids), "past": ACTIONS[key].past}
        self.message_user(request, text, messages.SUCCESS if changed else messages.WARNING)
