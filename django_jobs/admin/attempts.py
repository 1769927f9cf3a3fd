"""The admin of attempts: finished runs of jobs, read only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Max, Min, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import Attempt
from ..models.labels import ATTEMPT_OUTCOME_LABELS
from ..policy.error_text import class_text, error_text
from ..policy.outcomes import AttemptOutcome
from ..policy.truncate import truncate
from ..store.search.keyset_pages import KeysetPage
from ..store.search.newest_first import newest_first
from .site.databases import row_text
from .site.filters import FieldFilter
from .site.labels import format_duration, outcome_label
from .site.links import link_to, may_open, page_link, request_of
from .site.page_admin import column
from .site.paging import PagedAdmin, PagedChangeList
from .site.permissions import VIEW_ARGUMENTS, has_permission
from .site.times import format_timestamp

LARGE = ("job__arguments", "job__metadata", "job__result_data")
MAX_MESSAGE_CHARS = 100
MAX_TEXT_CHARS = 20_000


class OutcomeFilter(FieldFilter):
    """By outcome."""

    title = _("outcome")
    parameters = ("outcome",)

    def values(self) -> list[tuple[str, Any]]:
        """Return the outcomes."""
        return [(outcome.value, label) for outcome, label in ATTEMPT_OUTCOME_LABELS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the attempts with the outcome, all if there is no such outcome."""
        return super().queryset(request, queryset) if self.value() in set(AttemptOutcome) else queryset


class AttemptChangeList(PagedChangeList):
    """A page of attempts. Those of one job are found by its index, wherever their ids lie."""

    def read_page(self, request: HttpRequest, after: str) -> KeysetPage[Any]:
        """Return a page of all attempts, or of those of the job in the address."""
        job = request.GET.get("job__id__exact", "")
        if not (job.isascii() and job.isdigit() and len(job) < 19):
            return super().read_page(request, after)
        ids = Attempt.objects.filter(job=int(job)).aggregate(lowest=Min("pk"), highest=Max("pk"))
        lowest, highest = ids["lowest"] or 0, ids["highest"] or 0
        return newest_first(
            self.queryset,
            after=after,
            below=highest + 1,
            above=lowest - 1,
            limit=self.list_per_page,
            scan=max(highest - lowest + 1, 1),
            is_indexed=True,
        )


@admin.register(Attempt)
class AttemptAdmin(PagedAdmin[Attempt]):
    """Lists attempts, newest first, with error texts for users who may see them."""

    list_display = (
        "id",
        "job_display",
        "number",
        "outcome_display",
        "worker_display",
        "waited",
        "ran",
        "finished",
    )
    list_filter = (OutcomeFilter,)
    changelist_class = AttemptChangeList
    show_facets = admin.ShowFacets.NEVER
    list_select_related = ("job", "worker")
    ordering = ("-id",)
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        """Leave out large columns."""
        rows = super().get_queryset(request).annotate(message_head=Left("error_message", MAX_MESSAGE_CHARS + 1))
        return rows.defer("error_message", "traceback", *LARGE)

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """Allow the links from a job's and a worker's page."""
        return lookup in {"job__id__exact", "worker__id__exact", "outcome"}

    def get_list_display(self, request: HttpRequest) -> Any:
        """Show error texts to users who may see them."""
        return (
            *self.list_display,
            "short_error" if has_permission(request, VIEW_ARGUMENTS) else "error_name",
        )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out error texts for users who may not see them."""
        identity = ("job_display", "number", "claim_number", "outcome_display", "worker_display")
        times = ("ready", "started", "finished", "waited", "ran")
        error = (
            ("error_name", "error_display", "traceback_display")
            if has_permission(request, VIEW_ARGUMENTS)
            else ("error_name",)
        )
        return (
            (None, {"fields": identity}),
            (_("Times"), {"fields": times}),
            (_("Error"), {"fields": error}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Return every field of the page."""
        return [name for _, options in self.get_fieldsets(request, obj) for name in options["fields"]]

    outcome_display = column(_("outcome"), lambda attempt: outcome_label(attempt.outcome))

    @admin.display(description=_("job"))
    def job_display(self, attempt: Attempt) -> str | SafeString:
        """Return a link to the job."""
        return page_link(
            request_of(attempt),
            self.admin_site,
            "job",
            attempt.job_id,
            f"{attempt.job.name} {row_text(attempt.job_id)}",
        )

    @admin.display(description=_("worker"))
    def worker_display(self, attempt: Attempt) -> str | SafeString:
        """Return a link to the worker."""
        return page_link(request_of(attempt), self.admin_site, "worker", attempt.worker_id, attempt.worker)

    waited = column(_("wait time"), lambda attempt: format_duration(attempt.waited))
    ran = column(_("run time"), lambda attempt: format_duration(attempt.duration))
    ready = column(_("ready at"), lambda attempt: format_timestamp(attempt.ready_at))
    started = column(_("started at"), lambda attempt: format_timestamp(attempt.started_at))
    finished = column(_("finished at"), lambda attempt: format_timestamp(attempt.finished_at))

    @admin.display(description=_("error"))
    def short_error(self, attempt: Any) -> str:
        """Return the class and the first line of the message, cut."""
        line = attempt.message_head.partition("\n")[0]
        cut_line = line if len(line) <= MAX_MESSAGE_CHARS else f"{line[: MAX_MESSAGE_CHARS - 3]}..."
        return error_text(attempt.error_class, cut_line)

    error_name = column(_("error"), lambda attempt: class_text(attempt.error_class) or "-")
    error_display = column(_("error message"), lambda attempt: truncate(attempt.error_message, MAX_TEXT_CHARS) or "-")

    @admin.display(description=_("traceback"))
    def traceback_display(self, attempt: Attempt) -> SafeString | str:
        """Return the traceback, cut, with a link to the full text."""
        if not attempt.traceback:
            return "-"
        text = format_html('<pre dir="ltr">{}</pre>', truncate(attempt.traceback, MAX_TEXT_CHARS))
        can_open = may_open(request_of(attempt), self.admin_site, "job")
        if len(attempt.traceback) <= MAX_TEXT_CHARS or not can_open:
            return text
        full_url = self.url("job_text", attempt.job_id, f"attempt-{attempt.claim_number}")
        return format_html("{}{}", text, link_to(full_url, _("Full text")))
