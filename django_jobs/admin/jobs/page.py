"""A job's page: why it is not running, details, timeline, values, and buttons for its actions."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Left
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ... import registry
from ...builtin_jobs import is_builtin
from ...exceptions import ResultUnreadableError
from ...log_records import log_job
from ...models import DeadLetter, EnqueueKey, Job
from ...operations import why_not_running
from ...policy.error_text import class_text, error_text
from ...policy.flags import JobFlag
from ...policy.limits import LimitKind, PermitPhase
from ...policy.metadata import COPY_OF
from ...policy.states import State
from ...policy.truncate import truncate
from ...reasons import render_reason_html
from ...redaction import limit_label, redact_job_value
from ...store.batches.batch import batch_of
from ...store.clock import database_now
from ...store.limits.search import permits_of_job
from ...store.search.keys import keys_of_job
from ..killing import kill_url, thread_note
from ..site.databases import row_text, shown_id
from ..site.job_arguments import arguments_text
from ..site.labels import (
    LIMIT_KIND_LABELS,
    death_reason_label,
    format_duration,
    known_details,
    progress_bar,
    run_duration,
    state_label,
    wait_duration,
)
from ..site.links import link_to, list_url, page_link, type_url
from ..site.page_admin import PageAdmin
from ..site.permissions import ENQUEUE, VIEW_ARGUMENTS, has_permission, require_permission
from ..site.text import text_response
from ..site.times import format_timestamp
from .actions import ACTIONS, apply, missing_text, report_one
from .graph import build_job_graph
from .live import live_html
from .message import message_details
from .timeline import full_error_text, timeline

logger = logging.getLogger("django_jobs.admin")

MAX_MESSAGE_CHARS = 500
MAX_TEXT_CHARS = 20_000
"""A longer value is cut, with a link to the full text."""
VALUES = {"arguments": _("Arguments"), "metadata": _("Metadata"), "result": _("Result")}
PERMIT_PHASE_LABELS = {
    PermitPhase.ASLEEP: _("not requested yet"),
    PermitPhase.WAITING: _("waiting"),
    PermitPhase.HELD: _("held"),
    PermitPhase.COOLING: _("still counted"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A form that posts, or with ``is_post=False`` a link to a page that asks first."""

    label: Any
    url: str
    is_post: bool = True
    is_destructive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value as it may be shown; ``full_url`` is the address of the full text if this is cut."""

    label: Any
    text: str
    full_url: str | None


def detail(model_admin: PageAdmin[Job], request: HttpRequest, job: Job) -> HttpResponse:
    """Return the page. At most two dozen statements, whatever the job has been through."""
    can_view_arguments = has_permission(request, VIEW_ARGUMENTS)
    dead_letter = _newest_dead_letter(job)
    context = model_admin.page_context(
        request,
        title=gettext("Job %(id)s") % {"id": shown_id(job.pk)},
        subtitle=job.name,
        original=job,
        state=state_label(job.state),
        note=thread_note(job),
        why=_why(job, dead_letter, can_view_arguments=can_view_arguments),
        details=_details(model_admin, request, job, dead_letter),
        timeline=timeline(job, show_errors=can_view_arguments),
        graph=build_job_graph(model_admin, job),
        can_view_arguments=can_view_arguments,
        live_html=live_html(job) if can_view_arguments else "",
        log_url=model_admin.url("job_log", job.pk),
        values=_values(model_admin, job) if can_view_arguments else [],
        buttons=buttons(model_admin, request, job),
        attempts_url=list_url(request, model_admin.admin_site, "attempt", f"job__id__exact={job.pk}"),
        history_url=model_admin.url("job_history", job.pk),
    )
    return TemplateResponse(request, "admin/django_jobs/job/detail.html", context)


def buttons(model_admin: PageAdmin[Job], request: HttpRequest, job: Job) -> list[Button]:
    """Return the actions that the user may apply to a job in this state."""
    offered = []
    labels = {
        "run_now": _("Run now") if job.state == State.SCHEDULED else None,
        "retry": _("Retry now") if job.state == State.DEAD else None,
        "cancel": _("Cancel") if job.state != State.RUNNING else _("Request cancellation"),
    }
    for key, label in labels.items():
        action = ACTIONS[key]
        is_requested = key == "cancel" and job.cancel_requested_at is not None
        is_possible = job.state in action.states and not is_requested
        if label and is_possible and has_permission(request, action.permission):
            offered.append(Button(label=label, url=model_admin.url("job_act", job.pk, key)))
    if url := kill_url(model_admin, request, job):
        offered.append(Button(label=_("Stop its worker"), url=url, is_post=False, is_destructive=True))
    if has_permission(request, ENQUEUE) and not is_builtin(job.name):
        offered.append(Button(label=_("Enqueue a copy"), url=model_admin.url("job_copy", job.pk), is_post=False))
    if job.state in ACTIONS["purge"].states and has_permission(request, ACTIONS["purge"].permission):
        purge_url = model_admin.url("job_purge", job.pk)
        offered.append(Button(label=_("Purge"), url=purge_url, is_post=False, is_destructive=True))
    return offered


def _why(job: Job, dead_letter: DeadLetter | None, *, can_view_arguments: bool) -> str | None:
    """Return why the job is not running, or of what it died, as a sentence; None if there is nothing to say."""
    if dead_letter is None:
        reason = why_not_running(job)
        if reason is None:
            return None
        return render_reason_html(reason, instant=format_timestamp, show_keys=can_view_arguments)
    error = class_text(dead_letter.error_class)
    if error and can_view_arguments:
        error = error_text(dead_letter.error_class, truncate(vars(dead_letter)["message_head"], MAX_MESSAGE_CHARS))
    text = gettext("%(reason)s at attempt %(attempt)s of %(max)s")
    values = {"attempt": dead_letter.attempt, "max": job.max_attempts}
    sentence = text % {"reason": capfirst(death_reason_label(dead_letter.reason)), **values}
    return f"{sentence}: {error}" if error else f"{sentence}."


def _details(
    model_admin: PageAdmin[Job], request: HttpRequest, job: Job, dead_letter: DeadLetter | None
) -> list[tuple[Any, Any]]:
    """Return the (name, value) pairs at the head of the page, unknown values left out."""
    now = database_now()

    def link(model: str, pk: Any, text: Any) -> Any:
        return page_link(request, model_admin.admin_site, model, pk, text) if pk else ""

    letter_id = dead_letter and dead_letter.pk
    batch = batch_of(job.pk) if job.flags & JobFlag.IN_BATCH else None
    copied = job.metadata.get(COPY_OF) if isinstance(job.metadata, dict) else None
    return known_details(
        (_("Job"), link_to(type_url(request, model_admin.admin_site, job.name), job.name)),
        (_("Queue"), link("queue", job.queue_name, job.queue_name)),
        (_("Priority"), job.priority),
        (_("Attempts"), f"{job.attempt} / {job.max_attempts}"),
        (_("Called in chunks"), _chunk(job)),
        (_("Progress"), progress_bar(job, show_message=has_permission(request, VIEW_ARGUMENTS))),
        (_("Wait time"), format_duration(wait_duration(job, now=now))),
        (_("Run time"), format_duration(run_duration(job, now=now))),
        (_("Last worker"), link("worker", job.worker and job.worker_id, job.worker)),
        (_("Worker deaths"), job.worker_deaths or ""),
        (_("Name unknown since"), format_timestamp(job.unknown_since) if job.unknown_since else ""),
        (_("Limits"), _limits(request, job, link)),
        (_("Dead letter"), link("deadletter", letter_id, row_text(letter_id))),
        *[(_("Key"), link("enqueuekey", key.pk, _key_text(request, key))) for key in keys_of_job(job.pk)],
        (_("Batch"), link("batch", batch and batch.pk, batch)),
        (_("Message"), message_details(request, job, link)),
        (_("Copy of"), link("job", copied, row_text(copied)) if type(copied) is int else ""),
    )


def _chunk(job: Job) -> str:
    """Return how many jobs its function is called with at most; nothing for one that is called with one job."""
    definition = registry.find(job.name)
    chunk = None if definition is None else definition.options.chunk
    if chunk is None:
        return ""
    if chunk.by:
        return gettext("of up to %(size)s, by %(keys)s") % {"size": chunk.size, "keys": ", ".join(chunk.by)}
    return gettext("of up to %(size)s") % {"size": chunk.size}


def _key_text(request: HttpRequest, key: EnqueueKey) -> str:
    """Return a key, or the start of its digest for those who may not see arguments."""
    return key.key if has_permission(request, VIEW_ARGUMENTS) else key.digest.hex[:8]


def _limits(request: HttpRequest, job: Job, link: Any) -> str | SafeString:
    """Return links to the job's limits, each with the phase of its permit."""
    if not job.flags & JobFlag.LIMITED:
        return ""
    show_keys = has_permission(request, VIEW_ARGUMENTS)
    pairs = []
    for permit in permits_of_job(job.pk):
        limit, kind = permit.limit, LimitKind(permit.limit.kind)
        text = f"{LIMIT_KIND_LABELS[kind]} {limit_label(kind, limit.name, limit.key, show_keys=show_keys)}"
        pairs.append((link("limit", permit.limit_id, text), PERMIT_PHASE_LABELS[PermitPhase(permit.phase)]))
    return format_html_join("; ", "{} ({})", pairs)


def _newest_dead_letter(job: Job) -> DeadLetter | None:
    """Return the dead letter of a dead job, with no more of its error than is shown."""
    if job.state != State.DEAD:
        return None
    rows = DeadLetter.objects.filter(job=job.pk).annotate(message_head=Left("error_message", MAX_MESSAGE_CHARS + 1))
    return rows.defer("error_message", "traceback").order_by("-pk").first()


def _values(model_admin: PageAdmin[Job], job: Job) -> list[Value]:
    values = []
    for key, label in VALUES.items():
        if key == "result" and job.result_data is None:
            continue
        file = job.result_file if key == "result" else None
        text = value_text(job, key) if file is None else _file_text(file.bytes)
        is_truncated = file is not None or len(text) > MAX_TEXT_CHARS
        full_url = model_admin.url("job_text", job.pk, key) if is_truncated else None
        values.append(Value(label=label, text=truncate(text, MAX_TEXT_CHARS), full_url=full_url))
    return values


def _file_text(size: int) -> str:
    return gettext("The result is stored in a file: %(size)s.") % {"size": filesizeformat(size)}


def value_text(job: Job, key: str) -> str:
    """Return arguments, metadata or result as indented JSON, secrets masked."""
    if key == "result" and job.is_result_lost:
        return gettext("The function returned a value that is not JSON; see the worker's log.")
    if key == "result" and job.is_result_expired:
        return gettext("The result has expired.")
    if key == "arguments":
        return arguments_text(job)
    try:
        value = job.result_json if key == "result" else job.metadata
    except ResultUnreadableError:
        log_job(logger, logging.ERROR, job, "has a result that cannot be read", exc_info=True)
        return gettext("The result's file cannot be read; see this server's log.")
    return json.dumps(redact_job_value(job, value), indent=2, ensure_ascii=False)


def text_view(model_admin: PageAdmin[Job], request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Return the full text of a value, or of an attempt's error (``attempt-3``)."""
    job = model_admin.get_object(request, str(pk))
    if job is None:
        raise Http404(gettext("No such job."))
    require_permission(request, VIEW_ARGUMENTS)
    kind, _dash, number = name.partition("-")
    text: str | None = None
    if name in VALUES:
        text = value_text(job, name)
    elif kind == "attempt" and number.isascii() and number.isdigit() and len(number) < 10:
        text = full_error_text(job, int(number))
    if text is None:
        raise Http404(gettext("No such text."))
    return text_response(text)


def action_view(model_admin: PageAdmin[Job], request: HttpRequest, pk: int, key: str) -> HttpResponse:
    """Apply the action of a button and return to the page with a message."""
    action = ACTIONS.get(key)
    if request.method != "POST" or action is None or key == "purge":
        raise Http404
    require_permission(request, action.permission)
    done = apply(request, action, [pk])
    return HttpResponseRedirect(report_one(model_admin, request, key, pk, is_done=bool(done)))


def purge_view(model_admin: PageAdmin[Job], request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then delete the job."""
    action = ACTIONS["purge"]
    require_permission(request, action.permission)
    if request.method == "POST":
        done = apply(request, action, [pk])
        return HttpResponseRedirect(report_one(model_admin, request, "purge", pk, is_done=bool(done)))
    job = model_admin.get_object(request, str(pk))
    if job is None:
        return model_admin.redirect_missing(request, missing_text(pk))
    job_url = model_admin.url("job_change", pk)
    return confirm_purge(model_admin, request, [job], back=job_url, trail=[(job_url, row_text(pk))])


def confirm_purge(
    model_admin: PageAdmin[Job], request: HttpRequest, jobs: list[Job], *, back: str, **context: Any
) -> TemplateResponse:
    """Return the page that asks before jobs are deleted."""
    return model_admin.confirm(
        request,
        title=gettext("Purge jobs"),
        text=gettext("These jobs and their attempts are deleted permanently. Jobs that have not finished are kept."),
        rows=[f"{job.name} {row_text(job.pk)} ({state_label(job.state)})" for job in jobs],
        label=gettext("Yes, purge"),
        is_destructive=True,
        back=back,
        **context,
    )
