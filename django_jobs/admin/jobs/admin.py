"""Jobs: what waits, runs and has ended; every filter an address, every change a verb of the store."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ...models import Job
from ...policy.filter_values import FilterError
from ...policy.states import State
from ..site.base import filter_error_text
from ..site.paging import WindowedAdmin
from ..site.permissions import CANCEL, ENQUEUE, PURGE, RETRY, has_permission
from . import copy, log, page
from . import replay as job_replay
from .actions import ACTIONS, apply, report_many
from .changelist import JobChangeList, read_at
from .filters import FILTERS, read_filter
from .labels import format_duration, progress_bar, run_duration, state_label, wait_duration


@admin.register(Job)
class JobAdmin(WindowedAdmin[Job]):
    """Lists jobs a page at a time; a job's page says why it waits and what has become of it."""

    list_display = (
        "id", "state_display", "name", "queue_name", "attempts_used", "progress", "waited", "ran", "on", "enqueued_at",
    )  # fmt: skip
    list_filter = FILTERS
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("id",)
    search_help_text = _("A job's number, part of its name, or an argument such as user_id=7")
    change_list_template = "admin/django_jobs/job/change_list.html"
    actions = ("retry_selected", "cancel_selected", "copy_selected", "purge_selected")
    ordering = ("-id",)

    class Media:
        css: ClassVar[Any] = {"all": ("django_jobs/job.css",)}

    def url(self, name: str, *args: Any) -> str:
        """Return the address of one of this app's pages on this site."""
        return reverse(f"{self.admin_site.name}:django_jobs_{name}", args=args)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: a job is changed by verbs only, each with its own permission."""
        return False

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may run jobs again, or now."""
        return has_permission(request, RETRY)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may cancel jobs."""
        return has_permission(request, CANCEL)

    def has_purge_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may purge jobs."""
        return has_permission(request, PURGE)

    def has_enqueue_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may enqueue copies."""
        return has_permission(request, ENQUEUE)

    def get_urls(self) -> list[Any]:
        """Add the addresses of what a job's page offers."""

        def at(route: str, view: Any, name: str) -> Any:
            def wrapped(request: HttpRequest, pk: int, **kwargs: Any) -> HttpResponse:
                request.current_app = self.admin_site.name
                answer: HttpResponse = view(self, request, pk, **kwargs)
                return answer

            return path(route, self.admin_site.admin_view(wrapped), name=f"django_jobs_job_{name}")

        replay = path(
            "replay/",
            self.admin_site.admin_view(lambda request: job_replay.replay_view(self, request)),
            name="django_jobs_job_replay",
        )
        return [
            replay,
            at("<int:pk>/act/<slug:key>/", page.action_view, "act"),
            at("<int:pk>/copy/", copy.copy_view, "copy"),
            at("<int:pk>/log/", log.log_view, "log"),
            at("<int:pk>/purge/", page.purge_view, "purge"),
            at("<int:pk>/text/<slug:what>/", page.text_view, "text"),
            *super().get_urls(),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that browses."""
        return JobChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        """Return the same: ``store/search/jobs.py`` searches."""
        return queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list; an address that says nothing is answered with what is wrong with it."""
        request.current_app = self.admin_site.name
        if self.has_view_permission(request):
            try:
                read_filter(request)
            except FilterError as error:
                self.message_user(request, filter_error_text(error), messages.ERROR)
                return HttpResponseRedirect(self.url("job_changelist"))
        own = {"replay_url": job_replay.replay_url(self, request)}
        answer: HttpResponse = super().changelist_view(request, {**own, **(extra_context or {})})
        return answer

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a job's page, which is no form."""
        if not self.has_view_permission(request) or request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        job = self.get_object(request, unquote(object_id))
        if job is None:
            return page.redirect_missing(self, request, object_id)
        request.current_app = self.admin_site.name
        return page.detail(self, request, job)

    @admin.display(description=_("state"))
    def state_display(self, job: Job) -> SafeString:
        """Return the state in the current language."""
        return format_html('<span class="job-state job-{}">{}</span>', job.state, state_label(job.state))

    @admin.display(description=_("tries"))
    def attempts_used(self, job: Job) -> str:
        """Return tries used of tries allowed."""
        return f"{job.attempt} / {job.max_attempts}"

    @admin.display(description=_("progress"))
    def progress(self, job: Job) -> str | SafeString:
        """Return a progress bar, or nothing where the job says nothing."""
        return progress_bar(job)

    @admin.display(description=_("waited"))
    def waited(self, job: Job) -> str:
        """Return how long it was ready, or has been so far."""
        return format_duration(wait_duration(job, now=read_at(job)))

    @admin.display(description=_("ran"))
    def ran(self, job: Job) -> str:
        """Return how long it ran, or has run so far."""
        return format_duration(run_duration(job, now=read_at(job)))

    @admin.display(description=_("on"))
    def on(self, job: Job) -> str:
        """Return the worker of what runs."""
        return str(job.worker or "-") if job.state == State.RUNNING else ""

    @admin.action(description=_("Run again (dead) or now (scheduled)"), permissions=["retry"])
    def retry_selected(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Redrive dead jobs and make scheduled ones ready."""
        self._apply_action(request, "retry", jobs)

    @admin.action(description=_("Cancel what waits, ask what runs to end"), permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Cancel those that have not ended."""
        self._apply_action(request, "cancel", jobs)

    @admin.action(description=_("Enqueue copies"), permissions=["enqueue"])
    def copy_selected(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Enqueue a copy of each, as it is."""
        copy.copy_many(self, request, jobs)

    @admin.action(description=_("Purge what has ended"), permissions=["purge"])
    def purge_selected(self, request: HttpRequest, jobs: QuerySet[Job]) -> HttpResponse | None:
        """Ask, then delete those in a final state."""
        if request.POST.get("confirmed"):
            self._apply_action(request, "purge", jobs)
            return None
        chosen = list(jobs.defer("arguments", "metadata", "result_data").order_by("-pk"))
        fields = [("action", "purge_selected"), *((helpers.ACTION_CHECKBOX_NAME, job.pk) for job in chosen)]
        return page.confirm_purge(self, request, chosen, back=request.get_full_path(), fields=fields)

    def _apply_action(self, request: HttpRequest, key: str, jobs: QuerySet[Job]) -> None:
        ids = list(jobs.order_by().values_list("pk", flat=True))
        report_many(self, request, len(apply(request, ACTIONS[key], ids)), len(ids))
