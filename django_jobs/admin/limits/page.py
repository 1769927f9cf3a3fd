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
from ...policy.limits import Kind
from ...redaction import limit_words
from ...store.limits.reopen import reopen
from ...store.limits.search import SHOWN_PERMITS, PermitOfJob, ShownLimit, find_limit, permits_of
from ..jobs.labels import page_link, state_words
from ..site.base import exactly
from ..site.permissions import REOPEN, VIEW_ARGUMENTS, may, require
from .labels import KINDS, counted_words, rule_words, standing_words, use_words

if TYPE_CHECKING:
    from .admin import LimitAdmin


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A job that has a permit, waits for one or has used one, as a template shows it."""

    job: str | SafeString
    state: str
    state_words: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Some of the jobs at a limit; ``is_cut`` where there are more than are shown."""

    key: str
    title: Any
    when: Any
    rows: list[Row]

    @property
    def is_cut(self) -> bool:
        """True where more may be there."""
        return len(self.rows) == SHOWN_PERMITS


def detail(page: LimitAdmin, request: HttpRequest, pk: str) -> HttpResponse:
    """Return the page. At most seven statements besides those for the user."""
    shown = _find(pk)
    if shown is None:
        return gone(page, request)
    can_reopen = shown.can_be_reopened and may(request, REOPEN)
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "media": page.media,
        "title": called(request, shown.limit),
        "subtitle": KINDS[shown.rule.kind],
        "facts": _facts(shown),
        "sections": _sections(page, request, shown),
        "most": SHOWN_PERMITS,
        "reopen_address": page.url("limit_reopen", shown.limit.pk) if can_reopen else None,
        "history_url": page.url("limit_history", shown.limit.pk),
    }
    return TemplateResponse(request, "admin/django_jobs/limit/detail.html", context)


def called(request: HttpRequest, limit: Limit) -> str:
    """Return what a limit is called, with its key where the user may see it."""
    return limit_words(Kind(limit.kind), limit.name, limit.key, sees_keys=may(request, VIEW_ARGUMENTS))


def _facts(shown: ShownLimit) -> list[tuple[Any, Any]]:
    failures = len(shown.limit.failures) if shown.rule.kind is Kind.BREAKER else 0
    facts = [
        (_("Status"), standing_words(shown)),
        (_("Rule"), rule_words(shown.rule)),
        (_("In use"), use_words(shown)),
        (_("Waiting"), counted_words(shown.waiting)),
        (_("Waiting since"), exactly(shown.waiting_since) if shown.waiting_since else ""),
        (_("Failures lately"), failures or ""),
        (_("Next look"), exactly(shown.limit.open_at) if shown.limit.open_at else ""),
    ]
    return [(name, value) for name, value in facts if value != ""]


def _sections(page: LimitAdmin, request: HttpRequest, shown: ShownLimit) -> list[Section]:
    permits = permits_of(shown.limit.pk, now=shown.now)

    def rows(some: Sequence[PermitOfJob]) -> list[Row]:
        return [_row(page, request, one, one.permit.free_at or one.permit.since) for one in some]

    sections = [
        Section(key="held", title=_("Who has permits"), when=_("Since"), rows=rows(permits.held)),
        Section(key="waiting", title=_("Who waits"), when=_("Since"), rows=rows(permits.waiting)),
    ]
    if shown.rule.kind is Kind.RATE:
        title = _("Runs that still count")
        sections.append(Section(key="cooling", title=title, when=_("Until"), rows=rows(permits.cooling)))
    return sections


def _row(page: LimitAdmin, request: HttpRequest, one: PermitOfJob, at: datetime) -> Row:
    text = f"#{one.permit.job_id} {one.job_name}".rstrip()
    is_there = bool(one.job_state)
    link = page_link(request, page.admin_site, "job", one.permit.job_id, text) if is_there else text
    return Row(
        job=link,
        state=one.job_state,
        state_words=state_words(one.job_state) if is_there else "",
        at=exactly(at),
    )


def reopen_view(page: LimitAdmin, request: HttpRequest, pk: str) -> HttpResponse:
    """Ask whether a limit is to let jobs in again, and do it."""
    require(request, REOPEN)
    shown = _find(pk)
    if shown is None:
        return gone(page, request)
    back = page.url("limit_change", shown.limit.pk)
    if request.method != "POST":
        return confirm(page, request, [shown.limit], back=back, fields=[])
    reopen_many(page, request, [shown.limit])
    return HttpResponseRedirect(back)


def reopen_many(page: LimitAdmin, request: HttpRequest, limits: Sequence[Limit]) -> None:
    """Reopen limits, log it and say how many were closed."""
    changed = [limit for limit in limits if reopen(limit.pk)]
    for limit in changed:
        page.log_change(request, limit, gettext("Jobs were let in again."))
    if changed:
        text = ngettext("%d limit lets jobs in again.", "%d limits let jobs in again.", len(changed))
        page.message_user(request, text % len(changed), messages.SUCCESS)
    else:
        text = gettext("Nothing was changed: it was not closed, or is not any more.")
        page.message_user(request, text, messages.WARNING)


def confirm(
    page: LimitAdmin,
    request: HttpRequest,
    limits: Sequence[Limit],
    *,
    back: str,
    fields: list[tuple[str, Any]],
) -> TemplateResponse:
    """Return the page that asks; ``fields`` are posted with the answer."""
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "media": page.media,
        "title": gettext("Let jobs in again"),
        "limits": [(KINDS[Kind(limit.kind)], called(request, limit)) for limit in limits],
        "fields": fields,
        "back": back,
    }
    return TemplateResponse(request, "admin/django_jobs/limit/reopen.html", context)


def gone(page: LimitAdmin, request: HttpRequest) -> HttpResponse:
    """Say that a limit is not there any more, and go to the list."""
    text = gettext("This limit is not there any more: nobody has used it for a while.")
    page.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(page.url("limit_changelist"))


def _find(pk: str) -> ShownLimit | None:
    try:
        number = int(pk)
    except ValueError:
        return None
    return find_limit(number) if -(2**63) <= number < 2**63 else None
