"""The message that a job came from, on the job's page: source, place there, and whether it was a replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext

from ...models import Job, MessageSource
from ...policy.metadata import MESSAGE, REPLAY
from ..site.permissions import VIEW_ARGUMENTS, has_permission


def message_details(request: HttpRequest, job: Job, link: Callable[[str, Any, Any], Any]) -> Any:
    """Return source and place of the job's message; an empty text if it came from none. One statement if it did.

    ``link(model, pk, text)`` returns a link to a row. An id is another's text, for those who may see arguments.
    """
    found = job.metadata.get(MESSAGE) if isinstance(job.metadata, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("broker"), str):
        return ""
    key = {name: str(found.get(name, "")) for name in ("broker", "name", "group")}
    row = MessageSource.objects.filter(**key).first()
    source = str(MessageSource(**key))
    text = f"{source}{_place(request, found)}{gettext(' (replay)') if found.get(REPLAY) else ''}"
    return text if row is None else link("messagesource", row.pk, text)


def _place(request: HttpRequest, found: dict[str, Any]) -> str:
    if "position" in found:
        values = {"partition": found.get("partition", ""), "position": found["position"]}
        return gettext(", partition %(partition)s, position %(position)s") % values
    if "id" in found and has_permission(request, VIEW_ARGUMENTS):
        return gettext(", id %(id)s") % {"id": found["id"]}
    return ""
