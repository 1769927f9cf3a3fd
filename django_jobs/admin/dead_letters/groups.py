"""Dead letters grouped by error, to be triaged: the list of groups, and the evidence of the chosen one beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...models import DeadLetter
from ...policy.error_text import class_name
from ...policy.group_states import UNRESOLVED, GroupState
from ...store.clock import database_now
from ...store.dead_letters.triage import TriagePage, find_triaged_group, triage_page
from ..deploys import read_deploys
from ..site.page_admin import PageAdmin
from ..site.paging import CURSOR_PARAMETER, Paging
from .evidence import evidence_context
from .group_actions import shortcut_rows
from .group_labels import group_context

STATUSES: Mapping[str, tuple[Any, frozenset[GroupState]]] = {
    "open": (_("Open"), UNRESOLVED),
    "regressed": (_("Came back"), frozenset({GroupState.REGRESSED})),
    "new": (_("New"), frozenset({GroupState.NEW})),
    "rising": (_("Rising"), frozenset({GroupState.RISING})),
    "ongoing": (_("Ongoing"), frozenset({GroupState.ONGOING})),
    "muted": (_("Muted"), frozenset({GroupState.MUTED})),
    "resolved": (_("Resolved"), frozenset({GroupState.RESOLVED})),
    "all": (_("All"), frozenset(GroupState)),
}
DEFAULT_STATUS = "open"
NAMES = ("job_name", "queue_name")


class _Wanted(NamedTuple):
    """The list of an address: a status, names that narrow it, and the beginning of its page."""

    status: str
    names: dict[str, str]
    after: str

    @property
    def filters(self) -> dict[str, str]:
        return self.names if self.status == DEFAULT_STATUS else {**self.names, "status": self.status}

    @property
    def query(self) -> str:
        """The query of links that keep the list as it is."""
        parts = {**self.filters, **({CURSOR_PARAMETER: self.after} if self.after else {})}
        return f"?{urlencode(parts)}" if parts else ""


def groups_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest) -> HttpResponse:
    """Show the groups, the most urgent first."""
    return _page(model_admin, request, "")


def group_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest, fingerprint: str) -> HttpResponse:
    """Show a group's evidence beside the list."""
    return _page(model_admin, request, fingerprint)


def evidence_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest, fingerprint: str) -> HttpResponse:
    """Return a group's evidence alone, for ``triage.js``."""
    chosen = find_triaged_group(fingerprint)
    if chosen is None:
        raise Http404(gettext("No dead letter has this error."))
    query = _read_wanted(request).query
    context = evidence_context(model_admin, request, chosen, now=database_now(), deploys=read_deploys(), query=query)
    return TemplateResponse(request, "admin/django_jobs/deadletter/evidence.html", context)


def _read_wanted(request: HttpRequest) -> _Wanted:
    status = request.GET.get("status", DEFAULT_STATUS)
    return _Wanted(
        status if status in STATUSES else DEFAULT_STATUS,
        {key: value for key in NAMES if (value := request.GET.get(key))},
        request.GET.get(CURSOR_PARAMETER, ""),
    )


def _page(model_admin: PageAdmin[DeadLetter], request: HttpRequest, fingerprint: str) -> HttpResponse:
    wanted, now, deploys = _read_wanted(request), database_now(), read_deploys()
    page = triage_page(
        STATUSES[wanted.status][1],
        job_name=wanted.names.get("job_name"),
        queue_name=wanted.names.get("queue_name"),
        chosen=fingerprint,
        after=wanted.after,
        now=now,
    )
    if fingerprint and page.chosen is None:
        raise Http404(gettext("No dead letter has this error."))
    groups_url = model_admin.url("deadlettergroups")
    title = gettext("Dead letters by error")
    context: dict[str, Any] = {"chosen": None}
    if page.chosen is not None:
        group = page.chosen.group
        context = evidence_context(model_admin, request, page.chosen, now=now, deploys=deploys, query=wanted.query) | {
            "chosen": group.fingerprint,
            "subtitle": f"{class_name(group.error_class) or group.reason} | {group.job_name}",
        }
    is_behind = gettext("Many dead letters have just come in; the numbers are still being counted.")
    context = model_admin.page_context(
        request,
        title=title,
        tabs=_tabs(groups_url, wanted, page),
        groups=[
            group_context(request, row, now=now, deploys=deploys)
            | {
                "url": model_admin.url("deadlettergroup", row.group.fingerprint) + wanted.query,
                "evidence_url": model_admin.url("deadlettergroup_evidence", row.group.fingerprint) + wanted.query,
                "is_chosen": row.group.fingerprint == fingerprint,
            }
            for row in page.rows
        ],
        paging=_paging(groups_url, wanted, page),
        note=is_behind if page.is_tail_truncated else "",
        list_url=model_admin.url("deadletter_changelist"),
        shortcuts=shortcut_rows(request),
        **context,
    )
    return TemplateResponse(request, "admin/django_jobs/deadletter/triage.html", context)


def _tabs(groups_url: str, wanted: _Wanted, page: TriagePage) -> list[dict[str, Any]]:
    """Return the states as links with the numbers of their groups."""
    more = "+" if page.is_number_bounded else ""
    return [
        {
            "url": groups_url + wanted._replace(status=key, after="").query,
            "label": label,
            "number": number_format(sum(page.numbers.get(state, 0) for state in states), force_grouping=True) + more,
            "is_chosen": key == wanted.status,
        }
        for key, (label, states) in STATUSES.items()
    ]


def _paging(groups_url: str, wanted: _Wanted, page: TriagePage) -> Paging:
    next_page = wanted._replace(after=page.next_cursor or "")
    return Paging(
        first_url=groups_url + wanted._replace(after="").query if wanted.after else None,
        next_url=groups_url + next_page.query if page.next_cursor else None,
        is_cut=page.is_truncated,
    )
