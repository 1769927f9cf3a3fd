"""Queues: how long each line is and how fast it goes, pausing and resuming it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import Queue
from ..models.queue import MAX_RUNNING
from ..operations import pause, resume, set_max_running
from ..store.stats.dashboard import queue_statuses
from .dashboard import dashboard_urls, queue_context
from .site.base import ReadOnlyAdmin, actor, format_timestamp
from .site.permissions import PAUSE, has_permission, require_permission


class QueueChangeList(ChangeList):
    """The list of queues, each with its figures: a few statements for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the queues and their figures."""
        super().get_results(request)
        self.result_list: list[Queue] = list(self.result_list)
        attach_figures(self.result_list)


def attach_figures(queues: list[Queue]) -> None:
    """Give each queue ``figures``, its words for the columns; nothing where there are more queues than are counted."""
    figures = {queue.name: queue_context(queue) for queue in queue_statuses()}
    for queue in queues:
        queue.figures = figures.get(queue.name, {})  # type: ignore[attr-defined]


@admin.register(Queue)
class QueueAdmin(ReadOnlyAdmin[Queue]):
    """Lists the queues that workers have met; the dashboard's address is among this page's."""

    list_display = (
        "name",
        "waiting",
        "oldest",
        "running",
        "per_minute",
        "max_running_display",
        "status_display",
        "jobs_link",
    )
    ordering = ("name",)
    sortable_by = ("name",)
    actions = ("pause_selected", "resume_selected")
    readonly_fields = (
        "waiting",
        "oldest",
        "running",
        "per_minute",
        "max_running_display",
        "status_display",
        "jobs_link",
    )
    fieldsets = ((None, {"fields": ("name", *readonly_fields)}),)
    change_list_template = "admin/django_jobs/queue/change_list.html"
    change_form_template = "admin/django_jobs/queue/change_form.html"

    class Media:
        css = {"all": ("django_jobs/admin.css",)}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that knows the queues' figures."""
        return QueueChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Queue | None:
        """Return the queue with its figures."""
        queue = super().get_object(request, object_id, from_field)
        if queue is not None:
            attach_figures([queue])
        return queue

    def get_urls(self) -> list[Any]:
        """Add the dashboard and the addresses to which the page's buttons post."""
        view = self.admin_site.admin_view
        act = path("<path:name>/<str:verb>/now/", view(self._action_view), name="django_jobs_queue_act")
        return [*dashboard_urls(self.admin_site), act, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Add the button where it may be pressed."""
        return super().change_view(
            request,
            object_id,
            form_url,
            {
                "can_pause": has_permission(request, PAUSE),
                "max_running_limit": MAX_RUNNING,
                **(extra_context or {}),
            },
        )

    def has_pause_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may pause and resume queues."""
        return has_permission(request, PAUSE)

    @admin.action(description=_("Pause: take nothing more, what runs goes on"), permissions=["pause"])
    def pause_selected(self, request: HttpRequest, queues: QuerySet[Queue]) -> None:
        """Pause the selected queues."""
        paused = [queue.name for queue in queues if self._apply_action(request, queue, "pause")]
        self.message_user(request, _("Paused: %s") % (", ".join(paused) or "-"))

    @admin.action(description=_("Resume"), permissions=["pause"])
    def resume_selected(self, request: HttpRequest, queues: QuerySet[Queue]) -> None:
        """Resume the selected queues."""
        resumed = [queue.name for queue in queues if self._apply_action(request, queue, "resume")]
        self.message_user(request, _("Resumed: %s") % (", ".join(resumed) or "-"))

    def _action_view(self, request: HttpRequest, name: str, verb: str) -> HttpResponse:
        if request.method != "POST" or verb not in {"pause", "resume", "cap"}:
            raise Http404
        require_permission(request, PAUSE)
        queue = Queue.objects.filter(pk=name).first()
        if queue is None:
            raise Http404
        if verb == "cap":
            self._set_max_running(request, queue)
        elif self._apply_action(request, queue, verb):
            said = _("Paused: %s") if verb == "pause" else _("Resumed: %s")
            self.message_user(request, said % name, messages.SUCCESS)
        else:
            said = _("%s was paused already.") if verb == "pause" else _("%s was not paused.")
            self.message_user(request, said % name, messages.WARNING)
        return HttpResponseRedirect(reverse(f"{self.admin_site.name}:django_jobs_queue_changelist"))

    def _set_max_running(self, request: HttpRequest, queue: Queue) -> None:
        """Let as many of the queue's jobs run at once as was typed in, all where nothing was."""
        given = request.POST.get("most", "").strip()
        try:
            limit = int(given) if given else None
            set_max_running(queue.name, limit)
        except ValueError:
            expected = _(
                "Expected a whole number from 1 to %(most)s, or nothing for no limit; got “%(given)s”."
            )
            self.message_user(request, expected % {"most": MAX_RUNNING, "given": given[:20]}, messages.ERROR)
            return
        said = str(_("No limit.") if limit is None else _("At most %s at once.") % limit)
        self.log_change(request, queue, said)
        self.message_user(request, f"“{queue.name}”: {said}", messages.SUCCESS)

    def _apply_action(self, request: HttpRequest, queue: Queue, verb: str) -> bool:
        changed = pause(queue.name, by=actor(request)) if verb == "pause" else resume(queue.name)
        if changed:
            self.log_change(request, queue, str(_("Paused.") if verb == "pause" else _("Resumed.")))
        return changed

    @admin.display(description=_("waiting"))
    def waiting(self, queue: Queue) -> str:
        """Return how many jobs are ready, counted up to a limit."""
        return _figure(queue, "waiting")

    @admin.display(description=_("oldest"))
    def oldest(self, queue: Queue) -> str:
        """Return how long the first in line has been ready."""
        return _figure(queue, "oldest")

    @admin.display(description=_("running"))
    def running(self, queue: Queue) -> str:
        """Return how many of its jobs run."""
        return _figure(queue, "running")

    @admin.display(description=_("per minute"))
    def per_minute(self, queue: Queue) -> str:
        """Return how many tries ended a minute lately."""
        return _figure(queue, "per_minute")

    @admin.display(description=_("at most at once"))
    def max_running_display(self, queue: Queue) -> str:
        """Return how many of its jobs may run at once."""
        return str(_("no limit") if queue.max_running is None else queue.max_running)

    @admin.display(description=_("status"))
    def status_display(self, queue: Queue) -> str | SafeString:
        """Return whether it is paused, since when and by whom."""
        if queue.paused_at is None:
            return str(_("runs"))
        text = _("paused by %s") % queue.paused_by if queue.paused_by else _("paused")
        return format_html(
            '<span class="jobs-badge jobs-badge-warn">{}</span> {}', text, format_timestamp(queue.paused_at)
        )

    @admin.display(description=_("jobs"))
    def jobs_link(self, queue: Queue) -> SafeString:
        """Return a link to its jobs."""
        address = reverse(f"{self.admin_site.name}:django_jobs_job_changelist")
        return format_html('<a href="{}?{}">{}</a>', address, urlencode({"queue": queue.name}), _("Show"))


def _figure(queue: Queue, name: str) -> str:
    figures: dict[str, Any] = getattr(queue, "figures", {})
    return str(figures.get(name, "-"))
