"""The admin of brokers: what waits to be sent to each, and how far sources are read; pause, resume and replay these."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ...brokers.status import BrokerState, read_overview
from ...conf import get_settings
from ...conf.database import current_database
from ...models import MessageSource
from ...operations import pause_source, resume_source
from ...store.messages.status import SourceState, read_source_states
from ..site.links import link_to, list_url, page_link, request_of
from ..site.numbers import rounded_text
from ..site.page_admin import PageAdmin, ReadOnlyAdmin, actor, column, needs
from ..site.permissions import PAUSE_SOURCE, VIEW_ARGUMENTS, has_permission, require_permission
from ..site.times import format_timestamp
from .replay import replay_paths

LISTED = ("source_display", "job_link", "status_display", "lag_display", "received_display", "poison_display")
DETAILS = (
    *LISTED,
    "duplicates_display",
    "last_received",
    "consumers_display",
    "partitions_display",
    "error_display",
)


class SourceChangeList(ChangeList):
    """The list of sources with their partitions and consumers: two more statements for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the sources and their state."""
        super().get_results(request)
        self.result_list: list[MessageSource] = list(self.result_list)
        attach_states(self.result_list)


def attach_states(sources: list[MessageSource]) -> None:
    """Give each source ``state_now`` for its columns."""
    states = read_source_states(source_ids=[source.pk for source in sources], using=current_database())
    by_id = {state.source.pk: state for state in states}
    for source in sources:
        vars(source)["state_now"] = by_id.get(source.pk) or SourceState(source=source, partitions=[], consumers=0)


@admin.register(MessageSource)
class MessageSourceAdmin(ReadOnlyAdmin[MessageSource]):
    """Lists sources, below the brokers to which messages are sent."""

    list_display = (*LISTED, "last_received")
    ordering = ("broker", "name", "group")
    sortable_by = ()
    list_filter = ("broker",)
    actions = ("pause_selected", "resume_selected")
    readonly_fields = DETAILS
    fieldsets = ((None, {"fields": DETAILS}),)
    change_list_template = "admin/django_jobs/messagesource/change_list.html"
    change_form_template = "admin/django_jobs/change_form.html"

    def only_database(self) -> str | None:
        """Return the first: what is consumed, and published, is there."""
        return get_settings().database

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list with the sources' state."""
        return SourceChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> MessageSource | None:
        """Return the source with its state."""
        source = super().get_object(request, object_id, from_field)
        if source is not None:
            attach_states([source])
        return source

    def get_urls(self) -> list[Any]:
        """Add the addresses of the buttons."""
        act = self.page_path("<int:pk>/<str:key>/now/", _action_view, "messagesource_act")
        return [act, *replay_paths(self), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the brokers above the sources."""
        context: dict[str, Any] = {"title": _("Brokers"), **(extra_context or {})}
        if self.has_view_permission(request):
            overview = read_overview(using=current_database())
            context["brokers"] = [self._row(request, broker) for broker in overview.brokers]
            context["held"] = [held for broker in overview.brokers for held in self._held(request, broker)]
            context["unread"] = [one.label for one in overview.unread]
        response: HttpResponse = super().changelist_view(request, context)
        return response

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the buttons."""
        source = context.get("original")
        if source is not None and has_permission(request, PAUSE_SOURCE):
            is_halted = source.paused_at is not None or bool(_state(source).stopped)
            key, label = ("resume", _("Resume")) if is_halted else ("pause", _("Pause"))
            context["buttons"] = [(self.url("messagesource_act", source.pk, key), label)]
            context["links"] = [(self.url("messagesource_replay", source.pk), _("Replay"))]
        return super().render_change_form(request, context, *args, **kwargs)

    has_pause_permission = needs(PAUSE_SOURCE)

    @admin.action(description=_("Pause: read no more messages"), permissions=["pause"])
    def pause_selected(self, request: HttpRequest, sources: QuerySet[MessageSource]) -> None:
        """Pause the selected sources."""
        paused = [str(source) for source in sources if _apply_action(self, request, source, "pause")]
        self.message_user(request, _("Paused: %s") % (", ".join(paused) or "-"))

    @admin.action(description=_("Resume"), permissions=["pause"])
    def resume_selected(self, request: HttpRequest, sources: QuerySet[MessageSource]) -> None:
        """Resume the selected sources."""
        resumed = [str(source) for source in sources if _apply_action(self, request, source, "resume")]
        self.message_user(request, _("Resumed: %s") % (", ".join(resumed) or "-"))

    source_display = column(_("source"), str)
    received_display = column(_("received"), lambda source: _number(source.received))
    duplicates_display = column(_("duplicates"), lambda source: _number(source.duplicates))
    poison_display = column(_("poison"), lambda source: _number(source.poison))
    consumers_display = column(_("consumers"), lambda source: str(_state(source).consumers))
    last_received = column(
        _("last received"),
        lambda source: "-" if source.last_received_at is None else format_timestamp(source.last_received_at),
    )

    @admin.display(description=_("lag"))
    def lag_display(self, source: MessageSource) -> str:
        """Return how many messages the broker has ahead, as consumers last asked."""
        lag = _state(source).lag
        return "-" if lag is None else _number(lag)

    @admin.display(description=_("job"))
    def job_link(self, source: MessageSource) -> str | SafeString:
        """Return a link to the jobs that its messages became."""
        query = urlencode({"name": source.job_name})
        return link_to(list_url(request_of(source), self.admin_site, "job", query), source.job_name or "-")

    @admin.display(description=_("status"))
    def status_display(self, source: MessageSource) -> str | SafeString:
        """Return whether it is read."""
        if source.paused_at is not None:
            text = _("paused by %s") % source.paused_by if source.paused_by else _("paused")
            return _badge(text, format_timestamp(source.paused_at))
        if _state(source).stopped:
            return _badge(_("stopped by poison"), "")
        if source.error:
            return _badge(_("broker down"), "" if source.error_at is None else format_timestamp(source.error_at))
        return str(_("active") if _state(source).consumers else _("no consumer"))

    @admin.display(description=_("partitions"))
    def partitions_display(self, source: MessageSource) -> str | SafeString:
        """Return each partition with its position, its lag, and why it is stopped."""
        partitions = _state(source).partitions
        may_see = has_permission(request_of(source), VIEW_ARGUMENTS)
        if not partitions:
            return "-"
        lines = (
            (
                one.partition,
                one.next_position,
                "" if one.lag is None else _("lag %s") % _number(one.lag),
                f"({one.stopped_reason})" if one.stopped_reason and may_see else "",
            )
            for one in partitions
        )
        return format_html("<ul>{}</ul>", format_html_join("", "<li><bdi>{}: {}</bdi> {} {}</li>", lines))

    @admin.display(description=_("last error"))
    def error_display(self, source: MessageSource) -> str:
        """Return what the broker last said, or why reading has stopped."""
        may_see = has_permission(request_of(source), VIEW_ARGUMENTS)
        return (source.error or source.stopped_reason or "-") if may_see else "-"

    def _held(self, request: HttpRequest, broker: BrokerState) -> list[SafeString]:
        """Return the dead messages of a broker that hold back others of their keys, each with their number."""
        return [
            format_html(
                "<bdi>{}</bdi>: {} ({})",
                broker.name,
                page_link(request, self.admin_site, "job", job_id, _("job %s") % job_id),
                ngettext("%s message waits", "%s messages wait", number) % _number(number),
            )
            for job_id, number in broker.held_by_dead.items()
        ]

    def _row(self, request: HttpRequest, broker: BrokerState) -> dict[str, Any]:
        """Return what the table of brokers shows of one."""
        failure, outage = broker.last_failure, broker.outage
        error = outage.error if outage is not None else "-" if failure is None else failure.error
        status: Any = _("active")
        if outage is not None:
            status = _badge(_("down"), format_timestamp(outage.since))
        elif broker.paused_at is not None:
            status = _badge(_("paused"), format_timestamp(broker.paused_at))
        query = urlencode({"queue": broker.queue_name})
        waiting = _number(broker.waiting.number) + ("+" if broker.waiting.is_more else "")
        return {
            "name": broker.name,
            "url": broker.url,
            "status": status,
            "waiting": link_to(list_url(request, self.admin_site, "job", query), waiting),
            "oldest": "-" if broker.waiting.oldest_at is None else format_timestamp(broker.waiting.oldest_at),
            "per_minute": rounded_text(broker.per_minute, decimals=1),
            "error": error if has_permission(request, VIEW_ARGUMENTS) else "-",
            "destinations": ", ".join(f"{name} ({_number(number)})" for name, number in broker.destinations.items())
            or "-",
        }


def _number(number: int) -> str:
    return number_format(number, force_grouping=True)


def _badge(text: Any, after: Any) -> SafeString:
    return format_html('<span class="jobs-badge jobs-badge-warn">{}</span> {}', text, after)


def _state(source: MessageSource) -> SourceState:
    found: SourceState = vars(source)["state_now"]
    return found


def _action_view(model_admin: PageAdmin[MessageSource], request: HttpRequest, pk: int, key: str) -> HttpResponse:
    """Pause or resume a source."""
    if request.method != "POST" or key not in {"pause", "resume"}:
        raise Http404
    require_permission(request, PAUSE_SOURCE)
    source = MessageSource.objects.filter(pk=pk).first()
    if source is None:
        raise Http404
    if _apply_action(model_admin, request, source, key):
        text = _("Paused: %s") if key == "pause" else _("Resumed: %s")
        model_admin.message_user(request, text % source, messages.SUCCESS)
    else:
        text = _("%s was already paused.") if key == "pause" else _("%s was not paused.")
        model_admin.message_user(request, text % source, messages.WARNING)
    return HttpResponseRedirect(model_admin.url("messagesource_change", pk))


def _apply_action(model_admin: PageAdmin[MessageSource], request: HttpRequest, source: MessageSource, key: str) -> bool:
    changed = pause_source(source.pk, by=actor(request)) if key == "pause" else resume_source(source.pk)
    if changed:
        model_admin.log_change(request, source, str(_("Paused.") if key == "pause" else _("Resumed.")))
    return changed
