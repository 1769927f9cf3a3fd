"""A limit's page: its rule, the jobs that hold its permits or wait for one, and a button that reopens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from ..site.databases import row_text
from ..site.labels import LIMIT_KIND_LABELS, known_details, state_label
from ..site.links import page_link
from ..site.page_admin import PageAdmin
from ..site.permissions import REOPEN, VIEW_ARGUMENTS, has_permission, require_permission
from ..site.times import format_timestamp
from .labels import format_capped_count, limit_status_badge, rule_text, usage_text


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitRow:
    """A job with a permit in some phase, as a template shows it."""

    job: str | SafeString
    state: str
    state_label: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitSection:
    """The jobs whose permits are in one phase."""

    key: str
    title: Any
    at_label: Any
    rows: list[PermitRow]

    @property
    def is_truncated(self) -> bool:
        """True if there may be more."""
        return len(self.rows) == SHOWN_PERMITS


def detail(model_admin: PageAdmin[Limit], request: HttpRequest, limit: Limit) -> HttpResponse:
    """Return the page. At most eight statements besides those for the user."""
    status = find_limit(limit.pk)
    if status is None:
        return model_admin.redirect_missing(request, missing_text(limit.pk))
    can_reopen = status.can_be_reopened and has_permission(request, REOPEN)
    context = model_admin.page_context(
        request,
        title=limit_title(request, status.limit),
        subtitle=LIMIT_KIND_LABELS[status.rule.kind],
        details=_details(status),
        sections=_sections(model_admin, request, status),
        max_rows=SHOWN_PERMITS,
        reopen_url=model_admin.url("limit_reopen", limit.pk) if can_reopen else None,
        history_url=model_admin.url("limit_history", limit.pk),
    )
    return TemplateResponse(request, "admin/django_jobs/limit/detail.html", context)


def limit_title(request: HttpRequest, limit: Limit) -> str:
    """Return a limit's name, and its key if the user may see it."""
    show_keys = has_permission(request, VIEW_ARGUMENTS)
    return limit_label(LimitKind(limit.kind), limit.name, limit.key, show_keys=show_keys)


def _details(status: LimitStatus) -> list[tuple[Any, Any]]:
    failures = len(status.limit.failures) if status.rule.kind is LimitKind.BREAKER else 0
    return known_details(
        (_("Status"), limit_status_badge(status)),
        (_("Rule"), rule_text(status.rule)),
        (_("In use"), usage_text(status)),
        (_("Waiting"), format_capped_count(status.waiting)),
        (_("Waiting since"), format_timestamp(status.waiting_since) if status.waiting_since else ""),
        (_("Recent failures"), failures or ""),
        (_("Next check"), format_timestamp(status.limit.check_at) if status.limit.check_at else ""),
    )


def _sections(model_admin: PageAdmin[Limit], request: HttpRequest, status: LimitStatus) -> list[PermitSection]:
    permits = permits_of_limit(status.limit.pk, now=status.now)
    sections = [
        ("held", _("Permit holders"), _("Since"), permits.held),
        ("waiting", _("Waiting jobs"), _("Since"), permits.waiting),
    ]
    if status.rule.kind is LimitKind.RATE:
        sections.append(("cooling", _("Runs still counted"), _("Until"), permits.cooling))
    return [
        PermitSection(
            key=key,
            title=title,
            at_label=at_label,
            rows=[_row(model_admin, request, permit) for permit in rows],
        )
        for key, title, at_label, rows in sections
    ]


def _row(model_admin: PageAdmin[Limit], request: HttpRequest, row: JobPermit) -> PermitRow:
    text = f"{row_text(row.permit.job_id)} {row.job_name}".rstrip()
    if not row.job_state:  # the job is gone
        return PermitRow(job=text, state="", state_label="", at=_permit_time(row))
    return PermitRow(
        job=page_link(request, model_admin.admin_site, "job", row.permit.job_id, text),
        state=row.job_state,
        state_label=state_label(row.job_state),
        at=_permit_time(row),
    )


def _permit_time(row: JobPermit) -> str:
    return format_timestamp(row.permit.free_at or row.permit.since)


def reopen_view(model_admin: PageAdmin[Limit], request: HttpRequest, pk: str) -> HttpResponse:
    """Ask, then reopen the limit."""
    require_permission(request, REOPEN)
    limit = model_admin.get_object(request, pk)
    if limit is None:
        return model_admin.redirect_missing(request, missing_text(pk))
    limit_url = model_admin.url("limit_change", limit.pk)
    if request.method == "POST":
        reopen_many(model_admin, request, [limit])
        return HttpResponseRedirect(limit_url)
    trail = [(limit_url, limit_title(request, limit))]
    return confirm_reopen(model_admin, request, [limit], back=limit_url, trail=trail)


def reopen_many(model_admin: PageAdmin[Limit], request: HttpRequest, limits: Sequence[Limit]) -> None:
    """Reopen limits, log it and show how many were closed."""
    changed = [limit for limit in limits if reopen_limit(limit.pk)]
    for limit in changed:
        model_admin.log_change(request, limit, gettext("Reopened."))
    if changed:
        text = ngettext("%d limit reopened.", "%d limits reopened.", len(changed)) % len(changed)
        model_admin.message_user(request, text, messages.SUCCESS)
    else:
        model_admin.message_user(
            request, gettext("Nothing was changed: no selected limit is closed."), messages.WARNING
        )


def confirm_reopen(
    model_admin: PageAdmin[Limit], request: HttpRequest, limits: Sequence[Limit], *, back: str, **context: Any
) -> TemplateResponse:
    """Return the page that asks before limits are reopened."""
    return model_admin.confirm(
        request,
        title=gettext("Reopen limits"),
        text=gettext(
            "Waiting jobs are admitted at once, as many as there are free permits. A circuit breaker forgets its"
            " failures; if the called server refuses again, the limit closes again."
        ),
        rows=[f"{LIMIT_KIND_LABELS[LimitKind(limit.kind)]}: {limit_title(request, limit)}" for limit in limits],
        label=gettext("Yes, reopen"),
        back=back,
        **context,
    )


def missing_text(_pk: int | str) -> str:
    """Return the message for a limit that no longer exists."""
    return gettext("This limit no longer exists: it has not been used for a while.")
