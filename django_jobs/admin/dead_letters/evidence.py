"""Evidence about a group: its figures, the newest traceback, the argument values that its jobs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils.http import urlencode
from django.utils.translation import gettext

from ...arguments.serialization import replace_results
from ...models import DeadLetter
from ...policy.common_values import common_values
from ...policy.project_frames import project_frame
from ...policy.truncate import truncate
from ...redaction import redact_arguments
from ...store.dead_letters.evidence import newest_queues, newest_traceback, sample_arguments
from ...store.dead_letters.group_counts import DIED_AT, parse_died_at
from ...store.dead_letters.groups import GroupSummary
from ...store.dead_letters.triage import TriagedGroup
from ...store.deploys import DeployedRelease
from ...worker.execution.errors import is_project_file
from ..site.databases import row_text
from ..site.links import list_url, type_url
from ..site.page_admin import PageAdmin
from ..site.permissions import RESOLVE, VIEW_ARGUMENTS, has_permission
from ..site.times import format_timestamp
from .group_actions import group_buttons, undo_note
from .group_labels import group_context

TRACEBACK_TAIL_CHARS = 50_000
MAX_TRACEBACK_CHARS = 10_000
MAX_DEAD_LETTERS_SHOWN = 20


def evidence_context(
    model_admin: PageAdmin[DeadLetter],
    request: HttpRequest,
    triaged: TriagedGroup,
    *,
    now: datetime,
    deploys: Sequence[DeployedRelease],
    query: str,
) -> dict[str, Any]:
    """Return the context of ``admin/django_jobs/deadletter/evidence.html``. Five statements, seven if resolved."""
    group = triaged.group
    dead_letters = DeadLetter.objects.filter(status=DeadLetter.Status.OPEN, fingerprint=group.fingerprint)
    newest = dead_letters.order_by("-pk").values_list("pk", DIED_AT)[:MAX_DEAD_LETTERS_SHOWN]
    undo_text = undo_note(request, triaged)
    list_query = urlencode({"fingerprint": group.fingerprint})
    return {
        "group": group_context(request, triaged, now=now, deploys=deploys),
        "dead_letters": [
            (model_admin.url("deadletter_change", pk), row_text(pk), format_timestamp(parse_died_at(died_at), now=now))
            for pk, died_at in newest
        ],
        "queues": newest_queues(group.fingerprint),
        "buttons": group_buttons(model_admin, request, triaged, query=query, can_undo=not undo_text),
        "undo_note": undo_text,
        "evidence": read_evidence(model_admin, group) if has_permission(request, VIEW_ARGUMENTS) else None,
        "group_list_url": f"{model_admin.url('deadletter_changelist')}?{list_query}",
        "type_url": type_url(request, model_admin.admin_site, group.job_name),
        "jobs_url": list_url(request, model_admin.admin_site, "job", urlencode({"name": group.job_name})),
        "back_url": model_admin.url("deadlettergroups") + query,
        "note_url": model_admin.url("deadlettergroup_act", group.fingerprint, "note") + query
        if has_permission(request, RESOLVE)
        else None,
    }


def read_evidence(model_admin: PageAdmin[DeadLetter], group: GroupSummary) -> dict[str, Any]:
    """Return the evidence for a template, secrets masked. Three statements."""
    newest = newest_traceback(group.fingerprint, max_chars=TRACEBACK_TAIL_CHARS)
    pk, traceback = newest or (None, "")
    samples = [_shown(group.job_name, arguments) for arguments in sample_arguments(group.fingerprint)]
    return {
        "traceback": truncate(traceback, MAX_TRACEBACK_CHARS),
        "frame": project_frame(traceback, is_project=is_project_file) if traceback else None,
        "url": model_admin.url("deadletter_change", pk) if newest else None,
        "sample": len(samples),
        "arguments": [
            {
                "name": common.name,
                "values": common.values,
                "number": common.number,
                "others": common.different - len(common.values),
            }
            for common in common_values(sample for sample in samples if isinstance(sample, dict))
        ],
    }


def _shown(job_name: str, arguments: Any) -> Any:
    """Return arguments with secrets masked, and a text in place of results of other jobs, which are not read here."""
    return redact_arguments(job_name, replace_results(arguments, gettext("(result of another job)")))
