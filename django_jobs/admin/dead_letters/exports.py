"""Export dead letters as CSV or JSON lines, streamed while they are read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from ...models import DeadLetter
from ...policy.dead_letter_filter import DeadLetterFilter
from ...store.dead_letters.search import iter_dead_letter_ids
from ..site.page_admin import PageAdmin
from ..site.permissions import VIEW_ARGUMENTS, has_permission, require_permission
from .filters import read_dead_letter_filter, requested_status

FIELDS = (
    "id", "job_id", "job_name", "queue_name", "reason", "attempt", "error_class", "error_message", "traceback",
    "fingerprint", "died_at", "status", "note",
)  # fmt: skip
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}") + (
    "\N{FULLWIDTH HYPHEN-MINUS}",
    "\N{FULLWIDTH COMMERCIAL AT}",
)
"""Prefixes that a spreadsheet takes for a formula."""
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/x-ndjson"}


class _Echo:
    """Makes a csv writer return its lines."""

    def write(self, line: str) -> str:
        return line


def export_links(model_admin: PageAdmin[DeadLetter], request: HttpRequest) -> list[tuple[str, Any]]:
    """Return (address, label) of the exports of the list's rows, none if the user may not read errors."""
    if not has_permission(request, VIEW_ARGUMENTS):
        return []
    status = request.GET.get("status")
    query = urlencode(read_dead_letter_filter(request).to_query() | ({"status": status} if status else {}))
    return [
        (model_admin.url("deadletter_export", form) + f"?{query}", label)
        for form, label in (("csv", _("Export as CSV")), ("json", _("Export as JSON")))
    ]


def export_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest, form: str) -> HttpResponseBase:
    """Return the dead letters of the filter and status (open by default), oldest first, one a line."""
    if form not in CONTENT_TYPES:
        raise Http404
    require_permission(request, VIEW_ARGUMENTS)
    rows = _rows(read_dead_letter_filter(request), requested_status(request))
    lines = _as_csv(rows) if form == "csv" else _as_json(rows)
    response = StreamingHttpResponse(lines, content_type=CONTENT_TYPES[form])
    ending = "csv" if form == "csv" else "jsonl"
    response["Content-Disposition"] = f'attachment; filename="dead-letters.{ending}"'
    return response


def _rows(wanted: DeadLetterFilter, status: str | None) -> Iterator[tuple[Any, ...]]:
    for ids, _until in iter_dead_letter_ids(wanted, status=status):
        if ids:
            yield from DeadLetter.objects.filter(pk__in=ids).order_by("pk").values_list(*FIELDS)


def _as_csv(rows: Iterator[tuple[Any, ...]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(FIELDS)
    for row in rows:
        yield writer.writerow([_escape_formula(value) for value in row])


def _escape_formula(value: Any) -> str:
    text = "" if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text.startswith(FORMULA_PREFIXES) else text


def _as_json(rows: Iterator[tuple[Any, ...]]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(dict(zip(FIELDS, row, strict=True)), default=str, ensure_ascii=False) + "\n"
