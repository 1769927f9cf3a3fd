"""Workers: which processes live, what they run at this moment, and asking one to stop."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ..conf import get_settings
from ..models import Job, Worker
from ..operations import stop_worker
from ..policy.states import State
from ..store.clock import database_now
from ..store.search.keyset_pages import KeysetPage
from ..store.workers import ALIVE
from .site.base import actor, format_timestamp
from .site.paging import WindowChangeList, WindowedAdmin
from .site.permissions import STOP, has_permission, require_permission

MAX_RUNNING_SHOWN = 200
"""Running jobs that are shown, over all workers of a page."""


class WorkerChangeList(WindowChangeList):
    """A window of workers, each with what it runs: two more statements for all of them."""

    def read_window(self, request: HttpRequest, *, after: str) -> KeysetPage[Any]:
        """Read the workers and what they run."""
        window = super().read_window(request, after=after)
        attach_running(window.rows)
        return window


def attach_running(workers: list[Worker]) -> None:
    """Give each worker ``running_now``, its jobs, and ``is_stale``: no heartbeat for WORKER["STALE_AFTER"]."""
    settings = get_settings()
    stale_before = database_now(using=settings.database) - settings.worker.stale_after
    by_id: dict[int, list[Job]] = {worker.pk: [] for worker in workers}
    running = Job.objects.filter(state=State.RUNNING, worker__in=list(by_id)).order_by("pk")
    for job in running.only("pk", "name", "worker", "started_at")[:MAX_RUNNING_SHOWN]:
        by_id[job.worker_id or 0].append(job)
    for worker in workers:
        worker.running_now = by_id[worker.pk]  # type: ignore[attr-defined]
        worker.is_stale = worker.state in ALIVE and worker.heartbeat_at < stale_before  # type: ignore[attr-defined]


@admin.register(Worker)
class WorkerAdmin(WindowedAdmin[Worker]):
    """Lists worker processes, the newest first."""

    list_display = (
        "process", "status_display", "running_jobs", "served_queues", "concurrency", "memory", "version", "last_heartbeat", "started",
    )  # fmt: skip
    list_filter = ("state",)
    search_fields = ("hostname",)
    search_help_text = _("Part of a host's name")
    actions = ("stop_selected",)
    fieldsets = (
        (None, {"fields": ("process", "status_display", "running_jobs")}),
        (_("What it takes"), {"fields": ("served_queues", "concurrency", "version", "memory")}),
        (_("Life"), {"fields": ("started", "last_heartbeat", "stopped", "stop_request")}),
    )
    readonly_fields = (
        "process", "status_display", "running_jobs", "served_queues", "memory", "last_heartbeat", "started", "stopped", "stop_request",
    )  # fmt: skip
    change_form_template = "admin/django_jobs/worker/change_form.html"

    class Media:
        css = {"all": ("django_jobs/admin.css",)}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that knows what the workers run."""
        return WorkerChangeList

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Worker | None:
        """Return the worker with what it runs."""
        worker = super().get_object(request, object_id, from_field)
        if worker is not None:
            attach_running([worker])
        return worker

    def get_urls(self) -> list[Any]:
        """Add the address to which the page's button posts."""
        stop = path(
            "<int:pk>/stop/", self.admin_site.admin_view(self._stop_view), name="django_jobs_worker_stop"
        )
        return [stop, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Add the button where it may be pressed."""
        return super().change_view(
            request, object_id, form_url, {"can_stop": has_permission(request, STOP), **(extra_context or {})}
        )

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may ask workers to stop."""
        return has_permission(request, STOP)

    @admin.action(
        description=_("Ask to stop: what runs may end, no other takes its place"), permissions=["stop"]
    )
    def stop_selected(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        """Ask the selected workers to stop."""
        asked = [worker for worker in workers if self._request_stop(request, worker)]
        text = ngettext("%d worker was asked to stop.", "%d workers were asked to stop.", len(asked)) % len(
            asked
        )
        self.message_user(request, text, messages.SUCCESS if asked else messages.WARNING)

    def _stop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.method != "POST":
            raise Http404
        require_permission(request, STOP)
        worker = Worker.objects.filter(pk=pk).first()
        if worker is None:
            self.message_user(request, _("This worker is not there any more."), messages.WARNING)
            return HttpResponseRedirect(reverse(f"{self.admin_site.name}:django_jobs_worker_changelist"))
        if self._request_stop(request, worker):
            self.message_user(
                request, _("It was asked to stop and will within some seconds."), messages.SUCCESS
            )
        else:
            self.message_user(request, _("It does not run, or was asked to stop before."), messages.WARNING)
        return HttpResponseRedirect(reverse(f"{self.admin_site.name}:django_jobs_worker_change", args=[pk]))

    def _request_stop(self, request: HttpRequest, worker: Worker) -> bool:
        asked = stop_worker(worker.pk, by=actor(request))
        if asked:
            self.log_change(request, worker, str(_("Asked to stop.")))
        return asked

    @admin.display(description=_("process"))
    def process(self, worker: Worker) -> str:
        """Return host and process id."""
        return f"{worker.hostname}:{worker.pid}"

    @admin.display(description=_("status"))
    def status_display(self, worker: Worker) -> SafeString:
        """Return where it is in its life, and what staff should notice about that."""
        if getattr(worker, "is_stale", False):
            return format_html('<span class="jobs-badge jobs-badge-bad">{}</span>', _("no heartbeat"))
        if worker.state == Worker.State.RUNNING and worker.stop_requested_at is not None:
            return format_html('<span class="jobs-badge jobs-badge-warn">{}</span>', _("asked to stop"))
        kind = {Worker.State.LOST: "jobs-badge-bad", Worker.State.STOPPING: "jobs-badge-warn"}
        return format_html(
            '<span class="jobs-badge {}">{}</span>',
            kind.get(Worker.State(worker.state), ""),
            worker.get_state_display(),
        )

    @admin.display(description=_("runs now"))
    def running_jobs(self, worker: Worker) -> str | SafeString:
        """Return links to the jobs that it runs at this moment."""
        jobs: list[Job] = getattr(worker, "running_now", [])
        address = f"{self.admin_site.name}:django_jobs_job_change"
        links = ((reverse(address, args=[job.pk]), job.name, job.pk) for job in jobs)
        return format_html_join(", ", '<a href="{}">{} #{}</a>', links) or "-"

    @admin.display(description=_("queues"))
    def served_queues(self, worker: Worker) -> str:
        """Return the names of its queues."""
        if not worker.concurrency:
            return str(_("none: it fires schedules"))
        return ", ".join(worker.queues) or str(_("all"))

    @admin.display(description=_("memory"))
    def memory(self, worker: Worker) -> str:
        """Return its resident memory at the last heartbeat."""
        return "-" if worker.memory_bytes is None else str(filesizeformat(worker.memory_bytes))

    @admin.display(description=_("last heartbeat"))
    def last_heartbeat(self, worker: Worker) -> str:
        """Return when it was last heard of."""
        return format_timestamp(worker.heartbeat_at)

    @admin.display(description=_("started"))
    def started(self, worker: Worker) -> str:
        """Return when it started."""
        return format_timestamp(worker.started_at)

    @admin.display(description=_("stopped"))
    def stopped(self, worker: Worker) -> str:
        """Return when it stopped, or was declared lost."""
        return format_timestamp(worker.stopped_at)

    @admin.display(description=_("asked to stop"))
    def stop_request(self, worker: Worker) -> str:
        """Return who asked it to stop, and when."""
        if worker.stop_requested_at is None:
            return "-"
        return f"{worker.stop_requested_by or '-'}, {format_timestamp(worker.stop_requested_at)}"
