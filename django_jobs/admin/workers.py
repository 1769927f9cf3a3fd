"""The admin of workers: live processes, their running jobs, and stopping one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ..conf import get_settings
from ..models import Job, Worker
from ..operations import stop_worker
from ..policy.states import State
from ..store.clock import database_now
from ..store.search.keyset_pages import KeysetPage
from .site.labels import format_timestamp
from .site.page_admin import PageAdmin, actor, column, needs
from .site.paging import PagedAdmin, PagedChangeList
from .site.permissions import STOP, has_permission, require_permission

MAX_RUNNING_SHOWN = 200
"""Running jobs that are listed, over all workers of a page."""


class WorkerChangeList(PagedChangeList):
    """A page of workers with their running jobs: two more statements for all of them."""

    def read_page(self, request: HttpRequest, after: str) -> KeysetPage[Any]:
        """Read the workers and their running jobs."""
        page = super().read_page(request, after)
        attach_running(page.rows)
        return page


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
        worker.is_stale = worker.state in Worker.ALIVE_STATES and worker.heartbeat_at < stale_before  # type: ignore[attr-defined]


@admin.register(Worker)
class WorkerAdmin(PagedAdmin[Worker]):
    """Lists worker processes, newest first."""

    list_display = (
        "process", "status_display", "running_jobs", "served_queues", "concurrency", "memory", "version",
        "last_heartbeat", "started",
    )  # fmt: skip
    list_filter = ("state",)
    search_fields = ("hostname",)
    search_help_text = _("Part of a host name")
    changelist_class = WorkerChangeList
    actions = ("stop_selected",)
    fieldsets = (
        (None, {"fields": ("process", "status_display", "running_jobs")}),
        (_("Capacity"), {"fields": ("served_queues", "concurrency", "version", "memory")}),
        (_("Timeline"), {"fields": ("started", "last_heartbeat", "stopped", "stop_request")}),
    )
    readonly_fields = (
        "process", "status_display", "running_jobs", "served_queues", "memory", "last_heartbeat", "started", "stopped",
        "stop_request",
    )  # fmt: skip
    change_form_template = "admin/django_jobs/change_form.html"

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Worker | None:
        """Return the worker with its running jobs."""
        worker = super().get_object(request, object_id, from_field)
        if worker is not None:
            attach_running([worker])
        return worker

    def get_urls(self) -> list[Any]:
        """Add the address of the stop button."""
        return [self.page_path("<int:pk>/stop/", _stop_view, "worker_stop"), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the button if the worker runs."""
        worker = context.get("original")
        is_stoppable = worker is not None and not worker.stopped_at and not worker.stop_requested_at
        if is_stoppable and has_permission(request, STOP):
            context["buttons"] = [(self.url("worker_stop", worker.pk), _("Stop"))]
        return super().render_change_form(request, context, *args, **kwargs)

    has_stop_permission = needs(STOP)

    @admin.action(description=_("Stop: finish running jobs, claim no more"), permissions=["stop"])
    def stop_selected(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        """Request the selected workers to stop."""
        stopped = [worker for worker in workers if _request_stop(self, request, worker)]
        text = ngettext("Stop requested for %d worker.", "Stop requested for %d workers.", len(stopped)) % len(stopped)
        self.message_user(request, text, messages.SUCCESS if stopped else messages.WARNING)

    process = column(_("process"), lambda worker: f"{worker.hostname}:{worker.pid}")

    @admin.display(description=_("status"))
    def status_display(self, worker: Worker) -> SafeString:
        """Return its state, and whether it has no heartbeat or a stop was requested."""
        if getattr(worker, "is_stale", False):
            return format_html('<span class="jobs-badge jobs-badge-bad">{}</span>', _("no heartbeat"))
        if worker.state == Worker.State.RUNNING and worker.stop_requested_at is not None:
            return format_html('<span class="jobs-badge jobs-badge-warn">{}</span>', _("stop requested"))
        kind = {Worker.State.LOST: "jobs-badge-bad", Worker.State.STOPPING: "jobs-badge-warn"}
        return format_html(
            '<span class="jobs-badge {}">{}</span>',
            kind.get(Worker.State(worker.state), ""),
            worker.get_state_display(),
        )

    @admin.display(description=_("running jobs"))
    def running_jobs(self, worker: Worker) -> str | SafeString:
        """Return links to its running jobs."""
        jobs: list[Job] = getattr(worker, "running_now", [])
        links = ((self.url("job_change", job.pk), job.name, job.pk) for job in jobs)
        return format_html_join(", ", '<a href="{}">{} #{}</a>', links) or "-"

    @admin.display(description=_("queues"))
    def served_queues(self, worker: Worker) -> str:
        """Return the names of its queues."""
        if not worker.concurrency:
            return str(_("none (scheduler only)"))
        return ", ".join(worker.queues) or str(_("all"))

    memory = column(
        _("memory"),
        lambda worker: "-" if worker.memory_bytes is None else str(filesizeformat(worker.memory_bytes)),
    )
    last_heartbeat = column(_("last heartbeat"), lambda worker: format_timestamp(worker.heartbeat_at))
    started = column(_("started"), lambda worker: format_timestamp(worker.started_at))
    stopped = column(_("stopped"), lambda worker: format_timestamp(worker.stopped_at))

    @admin.display(description=_("stop requested"))
    def stop_request(self, worker: Worker) -> str:
        """Return who requested the stop, and when."""
        if worker.stop_requested_at is None:
            return "-"
        return f"{worker.stop_requested_by or '-'}, {format_timestamp(worker.stop_requested_at)}"


def _stop_view(model_admin: PageAdmin[Worker], request: HttpRequest, pk: int) -> HttpResponse:
    """Request a worker to stop."""
    if request.method != "POST":
        raise Http404
    require_permission(request, STOP)
    worker = Worker.objects.filter(pk=pk).first()
    if worker is None:
        return model_admin.redirect_missing(request, gettext("This worker no longer exists."))
    if _request_stop(model_admin, request, worker):
        text = gettext("Stop requested: the worker claims no more jobs and exits when its running jobs finish.")
        model_admin.message_user(request, text, messages.SUCCESS)
    else:
        text = gettext("Nothing was changed: not running, or stop requested before.")
        model_admin.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(model_admin.url("worker_change", pk))


def _request_stop(model_admin: PageAdmin[Worker], request: HttpRequest, worker: Worker) -> bool:
    is_requested = stop_worker(worker.pk, by=actor(request))
    if is_requested:
        model_admin.log_change(request, worker, gettext("Stop requested."))
    return is_requested
