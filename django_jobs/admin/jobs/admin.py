"""The admin of jobs: a list filtered by its address, a page for each job, and actions on both."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ...conf import get_settings
from ...models import Job
from ...policy.filter_values import FilterError
from ...policy.states import State
from ..bulk.urls import bulk_paths
from ..finder.views import finder_urls
from ..job_types.enqueue import enqueue_view
from ..job_types.list import types_view
from ..job_types.page import type_view
from ..site.databases import find_named_job
from ..site.detail import DetailAdmin
from ..site.labels import format_duration, progress_bar, run_duration, state_label, wait_duration
from ..site.links import link_to, type_url
from ..site.named_addresses import name_database
from ..site.page_admin import column, needs, selection_fields
from ..site.permissions import CANCEL, ENQUEUE, PURGE, RETRY
from ..site.times import format_timestamp
from . import bulk_actions, copy, live, page, replay
from .actions import ACTIONS, apply, report_many
from .changelist import JobChangeList, read_at
from .filters import FILTERS, read_filter


@admin.register(Job)
class JobAdmin(DetailAdmin[Job]):
    """Lists jobs by pages."""

    detail_page = page
    list_display = (
        "id", "state_display", "call", "queue_name", "attempts_used", "waited", "ran", "enqueued",
    )  # fmt: skip
    list_filter = FILTERS
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("id",)
    search_help_text = _("A job id, part of a name, or an argument such as user_id=7")
    changelist_class = JobChangeList
    actions = ("retry_selected", "cancel_selected", "copy_selected", "purge_selected")
    ordering = ("-id",)

    has_retry_permission = needs(RETRY)
    has_cancel_permission = needs(CANCEL)
    has_purge_permission = needs(PURGE)
    has_enqueue_permission = needs(ENQUEUE)

    def get_urls(self) -> list[Any]:
        """Add the addresses of the search of everything, of a job's actions, its log and its full texts."""
        return [
            *finder_urls(self),
            *bulk_paths(self, bulk_actions.SUBJECT),
            self.page_path("types/", types_view, "job_types"),
            self.page_path("types/type/", type_view, "job_type"),
            self.page_path("types/enqueue/", enqueue_view, "job_type_enqueue"),
            self.page_path("replay/", replay.replay_view, "job_replay"),
            self.page_path("<int:pk>/act/<slug:key>/", page.action_view, "job_act"),
            self.page_path("<int:pk>/copy/", copy.copy_view, "job_copy"),
            self.page_path("<int:pk>/log/", live.log_view, "job_log"),
            self.page_path("<int:pk>/purge/", page.purge_view, "job_purge"),
            self.page_path("<int:pk>/text/<slug:name>/", page.text_view, "job_text"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        """Leave the search to ``store/search/jobs.py``."""
        return queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list; an invalid filter leads to the unfiltered one, with a message."""
        request.current_app = self.admin_site.name
        if (elsewhere := _address_of_named_id(request)) is not None:
            return HttpResponseRedirect(elsewhere)
        if self.has_view_permission(request):
            try:
                read_filter(request)
            except FilterError as error:
                return self.redirect_invalid(request, error)
        replay_url = replay.replay_url(self, request)
        tools = bulk_actions.bulk_action_links(self, request) if self.has_view_permission(request) else []
        tools += [(address, _("Job type"))] if (address := self._type_address(request)) else []
        tools += [(replay_url, _("Enqueue copies of all matching jobs"))] if replay_url else []
        response: HttpResponse = super().changelist_view(request, {"tools": tools, **(extra_context or {})})
        return response

    def _type_address(self, request: HttpRequest) -> str:
        """Return the address of the type by which the list is filtered, empty if it is not."""
        name = request.GET.get("name", "").strip()
        return type_url(request, self.admin_site, name) if name else ""

    state_display = column(
        _("state"),
        lambda job: format_html('<span class="job-state job-{}">{}</span>', job.state, state_label(job.state)),
    )
    attempts_used = column(_("attempts"), lambda job: f"{job.attempt} / {job.max_attempts}")
    waited = column(_("wait time"), lambda job: format_duration(wait_duration(job, now=read_at(job))))
    ran = column(_("run time"), lambda job: format_duration(run_duration(job, now=read_at(job))))
    enqueued = column(_("enqueued at"), lambda job: format_timestamp(job.enqueued_at, now=read_at(job)))

    @admin.display(description=_("job"))
    def call(self, job: Job) -> SafeString:
        """Return a link to the type; below it the arguments for who may see them, while it runs progress and worker."""
        below = [vars(job).get("arguments_text", "")]
        if job.state == State.RUNNING:
            below += [progress_bar(job, show_message=vars(job).get("show_message", False)), str(job.worker or "")]
        return format_html(
            "{}{}",
            link_to(vars(job).get("type_url", ""), format_html('<bdi class="job-name">{}</bdi>', job.name)),
            format_html_join("", '<div class="jobs-minor"><bdi>{}</bdi></div>', ((text,) for text in below if text)),
        )

    @admin.action(description=_("Retry dead jobs, run scheduled jobs now"), permissions=["retry"])
    def retry_selected(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Redrive dead jobs and make scheduled ones ready."""
        self._apply_action(request, "retry", jobs)

    @admin.action(description=_("Cancel waiting jobs, request cancellation of running ones"), permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Cancel the jobs that have not finished."""
        self._apply_action(request, "cancel", jobs)

    @admin.action(description=_("Enqueue copies"), permissions=["enqueue"])
    def copy_selected(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Enqueue a copy of each job as it is."""
        copy.copy_many(self, request, jobs)

    @admin.action(description=_("Purge finished jobs"), permissions=["purge"])
    def purge_selected(self, request: HttpRequest, jobs: QuerySet[Job]) -> HttpResponse | None:
        """Ask, then delete the jobs in a final state."""
        if request.POST.get("confirmed"):
            self._apply_action(request, "purge", jobs)
            return None
        chosen = list(jobs.defer("arguments", "metadata", "result_data").order_by("-pk"))
        fields = selection_fields("purge_selected", chosen)
        return page.confirm_purge(self, request, chosen, back=request.get_full_path(), fields=fields)

    def _apply_action(self, request: HttpRequest, key: str, jobs: QuerySet[Job]) -> None:
        ids = list(jobs.order_by().values_list("pk", flat=True))
        report_many(self, request, len(apply(request, ACTIONS[key], ids)), len(ids))


def _address_of_named_id(request: HttpRequest) -> str | None:
    """Return the address of the search for the id in the database that it names, such as "eu:4711"."""
    named = find_named_job(request.GET.get("q", "")) if get_settings().has_many_databases else None
    if named is None or named.database is None or request.method != "GET":
        return None
    query = request.GET.copy()
    query["q"] = str(named.number)
    return name_database(f"{request.path}?{query.urlencode()}", named.database)
