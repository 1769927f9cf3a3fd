"""The admin of queues: their figures, pausing and resuming them, and their maximum of running jobs."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import AdminSite
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..conf.database import current_database
from ..models import Queue
from ..models.queue import MAX_RUNNING
from ..operations import pause, register_queues, resume, set_max_running
from ..store.stats.dashboard import queue_statuses
from .dashboard import Dashboard, dashboard_urls, queue_context
from .site.app_index import dashboard_url, index_url, serve_dashboard
from .site.databases import on_named_database
from .site.links import link_to, list_url, may_open, request_of
from .site.odd_input import guard_view
from .site.page_admin import PageAdmin, ReadOnlyAdmin, actor, column, needs
from .site.permissions import PAUSE, has_permission, require_permission
from .site.times import format_timestamp

FIGURES = (
    "waiting",
    "oldest",
    "running",
    "per_minute",
    "forecast",
    "max_running_display",
    "status_display",
    "jobs_link",
)


class QueueChangeList(ChangeList):
    """The list of queues with their figures: a few statements for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the queues and their figures."""
        super().get_results(request)
        self.result_list: list[Queue] = list(self.result_list)
        attach_figures(self.result_list)


def attach_figures(queues: list[Queue]) -> None:
    """Give each queue ``figures`` for its columns, empty ones for queues beyond those that are counted."""
    now = timezone.now()
    figures = {queue.name: queue_context(queue, now) for queue in queue_statuses()}
    for queue in queues:
        queue.figures = figures.get(queue.name, {})  # type: ignore[attr-defined]


@admin.register(Queue)
class QueueAdmin(ReadOnlyAdmin[Queue]):
    """Lists the queues that workers have served or jobs wait in; the dashboard is among its addresses."""

    list_display = ("name", *FIGURES)
    ordering = ("name",)
    sortable_by = ("name",)
    actions = ("pause_selected", "resume_selected")
    readonly_fields = FIGURES
    fieldsets = ((None, {"fields": ("name", *FIGURES)}),)
    change_list_template = "admin/django_jobs/change_list.html"
    change_form_template = "admin/django_jobs/queue/change_form.html"

    def __init__(self, model: type[Queue], admin_site: AdminSite) -> None:
        super().__init__(model, admin_site)
        guard = partial(guard_view, refuse=self._refuse_index, key=self.opts.pk)
        serve_dashboard(admin_site, self._index_context, lambda view: on_named_database(guard(view), self))

    def _index_context(self, request: HttpRequest) -> dict[str, Any] | None:
        """Return what the app's index shows; None if this site shows queues by another admin, or not at all."""
        registered = self.admin_site._registry.get(Queue)  # noqa: SLF001 - get_model_admin() raises
        return Dashboard(self).index_context(request) if registered is self else None

    def _refuse_index(self, request: HttpRequest, text: str) -> HttpResponse:
        self.message_user(request, text, messages.ERROR)
        return HttpResponseRedirect(index_url(self.admin_site))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list with the queues' figures."""
        return QueueChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Queue | None:
        """Return the queue with its figures; a queue in which jobs wait gets a row."""
        queue = super().get_object(request, object_id, from_field)
        may = self.has_view_permission(request)
        if queue is None and may and register_queues(using=current_database()):
            queue = super().get_object(request, object_id, from_field)
        if queue is not None:
            attach_figures([queue])
        return queue

    def get_urls(self) -> list[Any]:
        """Add the dashboard and the addresses of the buttons."""
        act = self.page_path("<path:name>/<str:key>/now/", _action_view, "queue_act")
        return [*dashboard_urls(self), act, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list with a link to the dashboard. Queues in which jobs wait get a row."""
        if self.has_view_permission(request):
            register_queues(using=current_database())
        can_open = may_open(request, self.admin_site, "job")
        tools = [(dashboard_url(self.admin_site), _("Dashboard"))] if can_open else []
        response: HttpResponse = super().changelist_view(request, {"tools": tools, **(extra_context or {})})
        return response

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the buttons."""
        queue = context.get("original")
        if queue is not None and has_permission(request, PAUSE):
            key, label = ("resume", _("Resume")) if queue.paused_at else ("pause", _("Pause"))
            context.update(
                buttons=[(self.url("queue_act", queue.pk, key), label)],
                max_running_url=self.url("queue_act", queue.pk, "max-running"),
                max_running_limit=MAX_RUNNING,
            )
        return super().render_change_form(request, context, *args, **kwargs)

    has_pause_permission = needs(PAUSE)

    @admin.action(description=_("Pause: claim no more jobs, let running ones finish"), permissions=["pause"])
    def pause_selected(self, request: HttpRequest, queues: QuerySet[Queue]) -> None:
        """Pause the selected queues."""
        paused = [queue.name for queue in queues if _apply_action(self, request, queue, "pause")]
        self.message_user(request, _("Paused: %s") % (", ".join(paused) or "-"))

    @admin.action(description=_("Resume"), permissions=["pause"])
    def resume_selected(self, request: HttpRequest, queues: QuerySet[Queue]) -> None:
        """Resume the selected queues."""
        resumed = [queue.name for queue in queues if _apply_action(self, request, queue, "resume")]
        self.message_user(request, _("Resumed: %s") % (", ".join(resumed) or "-"))

    waiting = column(_("waiting"), lambda queue: _figure(queue, "waiting"))
    oldest = column(_("oldest"), lambda queue: _figure(queue, "oldest"))
    running = column(_("running"), lambda queue: _figure(queue, "running"))
    per_minute = column(_("per minute"), lambda queue: _figure(queue, "per_minute"))
    forecast = column(_("forecast"), lambda queue: _figure(queue, "forecast"))
    max_running_display = column(
        _("max. running"),
        lambda queue: str(_("no limit") if queue.max_running is None else queue.max_running),
    )

    @admin.display(description=_("status"))
    def status_display(self, queue: Queue) -> str | SafeString:
        """Return whether it is paused, since when and by whom."""
        if queue.paused_at is None:
            return str(_("active"))
        text = _("paused by %s") % queue.paused_by if queue.paused_by else _("paused")
        return format_html(
            '<span class="jobs-badge jobs-badge-warn">{}</span> {}', text, format_timestamp(queue.paused_at)
        )

    @admin.display(description=_("jobs"))
    def jobs_link(self, queue: Queue) -> str | SafeString:
        """Return a link to its jobs."""
        url = list_url(request_of(queue), self.admin_site, "job", urlencode({"queue": queue.name}))
        return link_to(url, _("Show")) if url else "-"


def _action_view(model_admin: PageAdmin[Queue], request: HttpRequest, name: str, key: str) -> HttpResponse:
    """Pause or resume a queue, or set its maximum."""
    if request.method != "POST" or key not in {"pause", "resume", "max-running"}:
        raise Http404
    require_permission(request, PAUSE)
    queue = Queue.objects.filter(pk=name).first()
    if queue is None:
        raise Http404
    if key == "max-running":
        _set_max_running(model_admin, request, queue)
    elif _apply_action(model_admin, request, queue, key):
        text = _("Paused: %s") if key == "pause" else _("Resumed: %s")
        model_admin.message_user(request, text % name, messages.SUCCESS)
    else:
        text = _("%s was already paused.") if key == "pause" else _("%s was not paused.")
        model_admin.message_user(request, text % name, messages.WARNING)
    return HttpResponseRedirect(model_admin.url("queue_changelist"))


def _set_max_running(model_admin: PageAdmin[Queue], request: HttpRequest, queue: Queue) -> None:
    """Set how many of the queue's jobs may run at once; an empty field removes the limit."""
    given = request.POST.get("max_running", "").strip()
    try:
        limit = int(given) if given else None
        set_max_running(queue.name, limit)
    except ValueError:
        text = _("Expected a whole number from 1 to %(max)s, or nothing for no limit; got “%(given)s”.")
        model_admin.message_user(request, text % {"max": MAX_RUNNING, "given": given[:20]}, messages.ERROR)
        return
    new_limit = str(_("No limit.") if limit is None else _("At most %s running.") % limit)
    model_admin.log_change(request, queue, new_limit)
    model_admin.message_user(request, f"“{queue.name}”: {new_limit}", messages.SUCCESS)


def _apply_action(model_admin: PageAdmin[Queue], request: HttpRequest, queue: Queue, key: str) -> bool:
    changed = pause(queue.name, by=actor(request)) if key == "pause" else resume(queue.name)
    if changed:
        model_admin.log_change(request, queue, str(_("Paused.") if key == "pause" else _("Resumed.")))
    return changed


def _figure(queue: Queue, name: str) -> str | SafeString:
    figures: dict[str, Any] = getattr(queue, "figures", {})
    value = figures.get(name, "-")
    return value if isinstance(value, SafeString) else str(value)
