"""The admin of workers: live processes, their running jobs, and stopping one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ..conf.database import current_database
from ..models import Job, Worker
from ..operations import stop_worker
from ..policy.deploys import short_release
from ..policy.states import State
from ..store.clock import database_now
from ..store.search.keyset_pages import KeysetPage
from ..store.stats.live_workers import WorkerStatus, describe_workers
from .killing import kill_view
from .running import load_text, running_links
from .site.links import request_of
from .site.page_admin import PageAdmin, actor, column, needs
from .site.paging import PagedAdmin, PagedChangeList
from .site.permissions import KILL, STOP, has_permission, require_permission
from .site.times import format_timestamp

MAX_CLAIMED = 1_000
"""Claimed jobs that are read, over all workers of a page."""
MAX_RUNNING_SHOWN = 20
"""Running jobs that are listed for a worker."""


class WorkerChangeList(PagedChangeList):
    """A page of workers with their running jobs: a few more statements for all of them."""

    def read_page(self, request: HttpRequest, after: str) -> KeysetPage[Any]:
        """Read the workers and their running jobs."""
        page = super().read_page(request, after)
        attach_status(page.rows)
        return page


def attach_status(workers: list[Worker]) -> None:
    """Give each worker ``status_now``, and ``read_at``, the database's time."""
    using = current_database()
    now = database_now(using=using)
    claimed = Job.objects.filter(state=State.RUNNING, worker__in=[worker.pk for worker in workers]).order_by("pk")
    rows = list(claimed.defer("arguments", "metadata", "result_data")[:MAX_CLAIMED])
    for worker, status in zip(workers, describe_workers(workers, rows, now=now, using=using), strict=True):
        vars(worker).update(status_now=status, read_at=now)


@admin.register(Worker)
class WorkerAdmin(PagedAdmin[Worker]):
    """Lists worker processes, newest first."""

    list_display = (
        "process", "status_display", "busy", "running_jobs", "served_queues", "memory",
        "last_heartbeat", "started",
    )  # fmt: skip
    list_filter = ("state",)
    search_fields = ("hostname",)
    search_help_text = _("Part of a host name")
    changelist_class = WorkerChangeList
    actions = ("stop_selected",)
    fieldsets = (
        (None, {"fields": ("process", "status_display", "busy", "running_jobs")}),
        (_("Capacity"), {"fields": ("served_queues", "concurrency", "release_text", "version", "memory")}),
        (_("Timeline"), {"fields": ("started", "last_heartbeat", "stopped", "stop_request", "kill_request")}),
    )
    readonly_fields = (
        "process", "status_display", "busy", "running_jobs", "served_queues", "memory", "last_heartbeat", "started",
        "stopped", "stop_request", "kill_request", "release_text",
    )  # fmt: skip
    change_form_template = "admin/django_jobs/change_form.html"

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Worker | None:
        """Return the worker with its running jobs."""
        worker = super().get_object(request, object_id, from_field)
        if worker is not None:
            attach_status([worker])
        return worker

    def get_urls(self) -> list[Any]:
        """Add the addresses of the buttons."""
        return [
            self.page_path("<int:pk>/stop/", _stop_view, "worker_stop"),
            self.page_path("<int:pk>/kill/", kill_view, "worker_kill"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the buttons if the worker runs."""
        worker = context.get("original")
        is_stoppable = worker is not None and not worker.stopped_at and not worker.stop_requested_at
        if is_stoppable and has_permission(request, STOP):
            context["buttons"] = [(self.url("worker_stop", worker.pk), _("Stop"))]
        is_killable = worker is not None and not worker.stopped_at and not worker.kill_requested_at
        if is_killable and has_permission(request, KILL):
            context["links"] = [(self.url("worker_kill", worker.pk), _("Stop at once"))]
        return super().render_change_form(request, context, *args, **kwargs)

    has_stop_permission = needs(STOP)

    @admin.action(description=_("Stop: finish running jobs, claim no more"), permissions=["stop"])
    def stop_selected(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        """Request the selected workers to stop."""
        stopped = [worker for worker in workers if _request_stop(self, request, worker)]
        text = ngettext("Stop requested for %d worker.", "Stop requested for %d workers.", len(stopped)) % len(stopped)
        self.message_user(request, text, messages.SUCCESS if stopped else messages.WARNING)

    @admin.display(description=_("process"))
    def process(self, worker: Worker) -> str | SafeString:
        """Return where it runs, and its release."""
        place = f"{worker.hostname}:{worker.pid}"
        release = short_release(worker.release)
        return format_html('{} <span class="jobs-minor">{}</span>', place, release) if release else place

    release_text = column(_("release"), lambda worker: worker.release or "-")

    @admin.display(description=_("status"))
    def status_display(self, worker: Worker) -> SafeString:
        """Return its state, and whether it has no heartbeat or a stop was requested."""
        if worker.status_now.is_stale and worker.state in Worker.ALIVE_STATES:  # type: ignore[attr-defined]
            return format_html('<span class="jobs-badge jobs-badge-bad">{}</span>', _("no heartbeat"))
        requested_at = worker.kill_requested_at or worker.stop_requested_at
        if worker.state == Worker.State.RUNNING and requested_at is not None:
            return format_html('<span class="jobs-badge jobs-badge-warn">{}</span>', _("stop requested"))
        kind = {Worker.State.LOST: "jobs-badge-bad", Worker.State.STOPPING: "jobs-badge-warn"}
        return format_html(
            '<span class="jobs-badge {}">{}</span>',
            kind.get(Worker.State(worker.state), ""),
            worker.get_state_display(),
        )

    busy = column(_("busy"), lambda worker: load_text(worker.status_now) if worker.stopped_at is None else "-")

    @admin.display(description=_("running jobs"))
    def running_jobs(self, worker: Worker) -> str | SafeString:
        """Return links to its running jobs, the longest first."""
        if worker.stopped_at is not None:
            return "-"
        shown: tuple[WorkerStatus, datetime] = (vars(worker)["status_now"], vars(worker)["read_at"])
        return running_links(self, request_of(worker), *shown, limit=MAX_RUNNING_SHOWN)

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
    def stop_request(self, worker: Worker) -> str | SafeString:
        """Return who requested the stop, and when."""
        return _request_text(worker.stop_requested_by, worker.stop_requested_at)

    @admin.display(description=_("stop at once requested"))
    def kill_request(self, worker: Worker) -> str | SafeString:
        """Return who requested the end at once, and when."""
        return _request_text(worker.kill_requested_by, worker.kill_requested_at)


def _request_text(by: str, at: datetime | None) -> str | SafeString:
    return "-" if at is None else format_html("{}, {}", by or "-", format_timestamp(at))


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
