"""A limit's page: its rule, who has its permits, who waits since when, and letting jobs in again where it is closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ...models import Limit
from ...operations import reopen_limit
from ...policy.limits import LimitKind
from ...redaction import limit_label
from ...store.limits.search import SHOWN_PERMITS, JobPermit, LimitStatus, find_limit, permits_of_limit
from ..jobs.labels import page_link, state_label
from ..site.base import format_timestamp
from ..site.permissions import REOPEN, VIEW_ARGUMENTS, has_permission, require_permission
from .labels import LIMIT_KIND_LABELS, format_capped_count, limit_status_badge, rule_text, usage_text

if TYPE_CHECKING:
    from .admin import LimitAdmin


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitRow:
    """A job that has a permit, waits for one or has used one, as a template shows it."""

    job: str | SafeString
    state: str
    state_label: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitSection:
    """Some of the jobs at a limit; ``is_truncated`` where there are more than are shown."""

    key: str
    title: Any
    when: Any
    rows: list[PermitRow]

    @property
    def is_truncated(self) -> bool:
        """True where more may be there."""
        return len(self.rows) == SHOWN_PERMITS


def detail(model_admin: LimitAdmin, request: HttpRequest, pk: str) -> HttpResponse:
    """Return the page. At most seven statements besides those for the user."""
    shown = _find(pk)
    if shown is None:
        return redirect_missing(model_admin, request)
    can_reopen = shown.can_be_reopened and has_permission(request, REOPEN)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
        "title": limit_title(request, shown.limit),
        "subtitle": LIMIT_KIND_LABELS[shown.rule.kind],
        "facts": _facts(shown),
        "sections": _sections(model_admin, request, shown),
        "most": SHOWN_PERMITS,
        "reopen_url": model_admin.url("limit_reopen", shown.limit.pk) if can_reopen else None,
        "history_url": model_admin.url("limit_history", shown.limit.pk),
    }
    return TemplateResponse(request, "admin/django_jobs/limit/detail.html", context)


def limit_title(request: HttpRequest, limit: Limit) -> str:
    """Return what a limit is called, with its key where the user may see it."""
    return limit_label(
        LimitKind(limit.kind), limit.name, limit.key, show_keys=has_permission(request, VIEW_ARGUMENTS)
    )


def _facts(shown: LimitStatus) -> list[tuple[Any, Any]]:
    failures = len(shown.limit.failures) if shown.rule.kind is LimitKind.BREAKER else 0
    facts = [
        (_("Status"), limit_status_badge(shown)),
        (_("Rule"), rule_text(shown.rule)),
        (_("In use"), usage_text(shown)),
        (_("Waiting"), format_capped_count(shown.waiting)),
        (_("Waiting since"), format_timestamp(shown.waiting_since) if shown.waiting_since else ""),
        (_("Failures lately"), failures or ""),
        (_("Next look"), format_timestamp(shown.limit.check_at) if shown.limit.check_at else ""),
    ]
    return [(name, value) for name, value in facts if value != ""]


def _sections(model_admin: LimitAdmin, request: HttpRequest, shown: LimitStatus) -> list[PermitSection]:
    permits = permits_of_limit(shown.limit.pk, now=shown.now)

    def rows(some: Sequence[JobPermit]) -> list[PermitRow]:
        return [_row(model_admin, request, one, one.permit.free_at or one.permit.since) for one in some]

    sections = [
        PermitSection(key="held", title=_("Who has permits"), when=_("Since"), rows=rows(permits.held)),
        PermitSection(key="waiting", title=_("Who waits"), when=_("Since"), rows=rows(permits.waiting)),
    ]
    if shown.rule.kind is LimitKind.RATE:
        title = _("Runs that still count")
        sections.append(
            PermitSection(key="cooling", title=title, when=_("Until"), rows=rows(permits.cooling))
        )
    return sections


def _row(model_admin: LimitAdmin, request: HttpRequest, one: JobPermit, at: datetime) -> PermitRow:
    text = f"#{one.permit.job_id} {one.job_name}".rstrip()
    is_there = bool(one.job_state)
    link = page_link(request, model_admin.admin_site, "job", one.permit.job_id, text) if is_there else text
    return PermitRow(
        job=link,
        state=one.job_state,
        state_label=state_label(one.job_state) if is_there else "",
        at=format_timestamp(at),
    )


def reopen_view(model_admin: LimitAdmin, request: HttpRequest, pk: str) -> HttpResponse:
    """Ask whether a limit is to let jobs in again, and do it."""
    require_permission(request, REOPEN)
    shown = _find(pk)
    if shown is None:
        return redirect_missing(model_admin, request)
    back = model_admin.url("limit_change", shown.limit.pk)
    if request.method != "POST":
        return confirm(model_admin, request, [shown.limit], back=back, fields=[])
    reopen_many(model_admin, request, [shown.limit])
    return HttpResponseRedirect(back)


def reopen_many(model_admin: LimitAdmin, request: HttpRequest, limits: Sequence[Limit]) -> None:
    """Reopen limits, log it and say how many were closed."""
    changed = [limit for limit in limits if reopen_limit(limit.pk)]
    for limit in changed:
        model_admin.log_change(request, limit, gettext("Jobs were let in again."))
    if changed:
        text = ngettext("%d limit lets jobs in again.", "%d limits let jobs in again.", len(changed))
        model_admin.message_user(request, text % len(changed), messages.SUCCESS)
    else:
        text = gettext("Nothing was changed: it was not closed, or is not any more.")
        model_admin.message_user(request, text, messages.WARNING)


def confirm(
    model_admin: LimitAdmin,
    request: HttpRequest,
    limits: Sequence[Limit],
    *,
    back: str,
    fields: list[tuple[str, Any]],
) -> TemplateResponse:
    """Return the page that asks; ``fields`` are posted with the answer."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
        "title": gettext("Let jobs in again"),
        "limits": [
            (LIMIT_KIND_LABELS[LimitKind(limit.kind)], limit_title(request, limit)) for limit in limits
        ],
        "fields": fields,
        "back": back,
    }
    return TemplateResponse(request, "admin/django_jobs/limit/reopen.html", context)


def redirect_missing(model_admin: LimitAdmin, request: HttpRequest) -> HttpResponse:
    """Say that a limit is not there any more, and go to the list."""
    text = gettext("This limit is not there any more: nobody has used it for a while.")
    model_admin.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(model_admin.url("limit_changelist"))


def _find(pk: str) -> LimitStatus | None:
    try:
        number = int(pk)
    except ValueError:
        return None
    return find_limit(number) if -(2**63) <= number < 2**63 else None
