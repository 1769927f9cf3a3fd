"""Letters as CSV or JSON lines, as many as match, sent while they are read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from ...models import DeadLetter
from ...policy.dead_letter_filter import LetterFilter
from ...store.dead_letters.search import steps
from ..site.permissions import VIEW_ARGUMENTS, may, require
from .filters import filter_of, status_of

if TYPE_CHECKING:
    from .admin import DeadLetterAdmin

FIELDS = (
    "id", "job_id", "job_name", "queue_name", "reason", "attempt", "error_class", "error_message", "traceback",
    "fingerprint", "died_at", "status", "note",
)  # fmt: skip
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for the beginning of a formula."""
KINDS = {"csv": "text/csv; charset=utf-8", "json": "application/x-ndjson"}


class _Line:
    """Gives back what a csv writer writes."""

    def write(self, line: str) -> str:
        return line


def links(page: DeadLetterAdmin, request: HttpRequest) -> list[tuple[Any, str]]:
    """Return label and address of the exports of what the list shows, where the user may read it."""
    if not may(request, VIEW_ARGUMENTS):
        return []
    status = request.GET.get("status")
    query = urlencode(filter_of(request).as_address() | ({"status": status} if status else {}))
    return [
        (label, page.url("deadletter_export", form) + f"?{query}")
        for form, label in (("csv", _("Export as CSV")), ("json", _("Export as JSON")))
    ]


def export_view(page: DeadLetterAdmin, request: HttpRequest, form: str) -> HttpResponseBase:
    """Return the letters of the filter and status, the open ones where none is given, oldest first; a line each."""
    if form not in KINDS:
        raise Http404
    require(request, VIEW_ARGUMENTS)
    rows = _rows(filter_of(request), status_of(request))
    lines = _as_csv(rows) if form == "csv" else _as_json(rows)
    answer = StreamingHttpResponse(lines, content_type=KINDS[form])
    ending = "csv" if form == "csv" else "jsonl"
    answer["Content-Disposition"] = f'attachment; filename="dead-letters.{ending}"'
    return answer


def _rows(wanted: LetterFilter, status: str | None) -> Iterator[tuple[Any, ...]]:
    for ids, _until in steps(wanted, status=status):
        if ids:
            yield from DeadLetter.objects.filter(pk__in=ids).order_by("pk").values_list(*FIELDS)


def _as_csv(rows: Iterator[tuple[Any, ...]]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(FIELDS)
    for row in rows:
        yield writer.writerow([_harmless(value) for value in row])


def _harmless(value: Any) -> str:
    text = "" if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text.startswith(FORMULAS) else text


def _as_json(rows: Iterator[tuple[Any, ...]]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(dict(zip(FIELDS, row, strict=True)), default=str, ensure_ascii=False) + "\n"
