"""A job's page: why it waits, its life step by step, its values, and buttons for what may be done to it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...exceptions import ResultUnreadableError
from ...models import DeadLetter, EnqueueKey, Job
from ...operations import why_not_running
from ...policy.flags import JobFlag
from ...policy.limits import LimitKind, PermitPhase
from ...policy.metadata import COPY_OF
from ...policy.states import State
from ...policy.truncate import truncate
from ...reasons import render_reason
from ...redaction import limit_label, redact_job_value
from ...result_storage import ResultFile
from ...store.batches.batch import batch_of
from ...store.clock import database_now
from ...store.limits.search import permits_of_job
from ...store.search.keys import keys_of_job
from ..limits.labels import LIMIT_KIND_LABELS, PERMIT_PHASE_LABELS
from ..site.base import format_timestamp
from ..site.permissions import ENQUEUE, VIEW_ARGUMENTS, has_permission, require_permission
from .actions import ACTIONS, apply, report_one
from .graph import build_job_graph
from .labels import format_duration, page_link, progress_bar, run_duration, state_label, wait_duration
from .log import running_part
from .timeline import full_error_text, timeline

if TYPE_CHECKING:
    from .admin import JobAdmin

logger = logging.getLogger("django_jobs.admin")

MAX_TEXT_CHARS = 20_000
"""Of a value that is longer this much is shown, with a link to the whole."""
VALUES = {"arguments": _("Arguments"), "metadata": _("Metadata"), "result": _("Result")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A thing to do: a form that posts where ``is_post``, a link to a page that asks first where not."""

    label: Any
    url: str
    is_post: bool = True
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value as it may be shown; ``whole`` is the address of the whole where this is cut."""

    label: Any
    text: str
    whole: str | None


def detail(model_admin: JobAdmin, request: HttpRequest, job: Job) -> HttpResponse:
    """Return the page. At most two dozen statements, whatever the job has been through."""
    can_view_arguments = has_permission(request, VIEW_ARGUMENTS)
    reason = why_not_running(job)
    life = timeline(job, show_errors=can_view_arguments)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": job,
        "title": gettext("Job %(id)s") % {"id": job.pk},
        "subtitle": job.name,
        "media": model_admin.media,
        "state": state_label(job.state),
        "why": None
        if reason is None
        else render_reason(reason, instant=format_timestamp, show_keys=can_view_arguments),
        "facts": _facts(model_admin, request, job),
        "timeline": life,
        "graph": build_job_graph(model_admin, job),
        "can_view_arguments": can_view_arguments,
        "running_part": running_part(job) if can_view_arguments else "",
        "log_url": model_admin.url("job_log", job.pk),
        "values": _values(model_admin, job) if can_view_arguments else [],
        "buttons": buttons(model_admin, request, job),
        "attempts_url": model_admin.url("attempt_changelist") + f"?job__id__exact={job.pk}",
        "history_url": model_admin.url("job_history", job.pk),
    }
    return TemplateResponse(request, "admin/django_jobs/job/detail.html", context)


def buttons(model_admin: JobAdmin, request: HttpRequest, job: Job) -> list[Button]:
    """Return what the user may do to a job in this state."""
    offered = []
    labels = {
        "run_now": _("Run now") if job.state == State.SCHEDULED else None,
        "retry": _("Retry now") if job.state == State.DEAD else None,
        "cancel": _("Cancel") if job.state != State.RUNNING else _("Ask to end"),
    }
    for key, label in labels.items():
        verb = ACTIONS[key]
        is_asked = key == "cancel" and job.cancel_requested_at is not None
        if label and job.state in verb.states and not is_asked and has_permission(request, verb.permission):
            offered.append(Button(label=label, url=model_admin.url("job_act", job.pk, key), kind=key))
    if has_permission(request, ENQUEUE):
        copy = model_admin.url("job_copy", job.pk)
        offered.append(Button(label=_("Enqueue a copy"), url=copy, is_post=False, kind="copy"))
    purge = ACTIONS["purge"]
    if job.state in purge.states and has_permission(request, purge.permission):
        address = model_admin.url("job_purge", job.pk)
        offered.append(Button(label=_("Purge"), url=address, is_post=False, kind="purge"))
    return offered


def _facts(model_admin: JobAdmin, request: HttpRequest, job: Job) -> list[tuple[Any, Any]]:
    """Return the (name, value) pairs at the head of the page, what is not known left out."""
    now = database_now()
    site = model_admin.admin_site
    letter = _open_dead_letter_id(job)
    batch = batch_of(job.pk) if job.flags & JobFlag.IN_BATCH else None
    copied = job.metadata.get(COPY_OF) if isinstance(job.metadata, dict) else None
    facts = [
        (_("Job"), job.name),
        (_("Queue"), page_link(request, site, "queue", job.queue_name, job.queue_name)),
        (_("Priority"), job.priority),
        (_("Tries"), f"{job.attempt} / {job.max_attempts}"),
        (_("Progress"), progress_bar(job)),
        (_("Waited"), format_duration(wait_duration(job, now=now))),
        (_("Ran"), format_duration(run_duration(job, now=now))),
        (
            _("Last worker"),
            page_link(request, site, "worker", job.worker_id, job.worker) if job.worker else "",
        ),
        (_("Worker deaths"), job.worker_deaths or ""),
        (_("Name unknown since"), format_timestamp(job.unknown_since) if job.unknown_since else ""),
        (_("Limits"), _limits(model_admin, request, job)),
        (_("Dead letter"), page_link(request, site, "deadletter", letter, f"#{letter}") if letter else ""),
        *[(_("Key"), _key(model_admin, request, one)) for one in keys_of_job(job.pk)],
        (_("Batch"), page_link(request, site, "batch", batch.pk, str(batch)) if batch else ""),
        (_("Copy of"), page_link(request, site, "job", copied, f"#{copied}") if type(copied) is int else ""),
    ]
    return [(name, value) for name, value in facts if value != ""]


def _key(model_admin: JobAdmin, request: HttpRequest, key: EnqueueKey) -> Any:
    """Return a link to a key of the job; its text only for those who may see arguments."""
    text = key.key if has_permission(request, VIEW_ARGUMENTS) else key.digest.hex[:8]
    return page_link(request, model_admin.admin_site, "enqueuekey", key.pk, text)


def _limits(model_admin: JobAdmin, request: HttpRequest, job: Job) -> str | SafeString:
    """Return links to the limits that the job is under, each with how far it has come there."""
    if not job.flags & JobFlag.LIMITED:
        return ""
    can_view_arguments = has_permission(request, VIEW_ARGUMENTS)
    pairs = []
    for permit in permits_of_job(job.pk):
        kind = LimitKind(permit.limit.kind)
        text = f"{LIMIT_KIND_LABELS[kind]} {limit_label(kind, permit.limit.name, permit.limit.key, show_keys=can_view_arguments)}"
        link = page_link(request, model_admin.admin_site, "limit", permit.limit_id, text)
        pairs.append((link, PERMIT_PHASE_LABELS[PermitPhase(permit.phase)]))
    return format_html_join("; ", "{} ({})", pairs)


def _open_dead_letter_id(job: Job) -> int | None:
    if job.state != State.DEAD:
        return None
    letters = DeadLetter.objects.filter(job=job.pk).order_by("-pk")
    return letters.values_list("pk", flat=True).first()


def _values(model_admin: JobAdmin, job: Job) -> list[Value]:
    values = []
    for key, label in VALUES.items():
        if key == "result" and job.result_data is None:
            continue
        file = job.result_file if key == "result" else None
        text = value_text(job, key) if file is None else _file_words(file)
        is_truncated = file is not None or len(text) > MAX_TEXT_CHARS
        whole = model_admin.url("job_text", job.pk, key) if is_truncated else None
        values.append(Value(label=label, text=truncate(text, MAX_TEXT_CHARS), whole=whole))
    return values


def _file_words(file: ResultFile) -> str:
    return gettext("The result is large and stands in a file: %(size)s.") % {
        "size": filesizeformat(file.bytes)
    }


def value_text(job: Job, key: str) -> str:
    """Return arguments, metadata or result as indented JSON, secrets masked."""
    if key == "result" and job.is_result_lost:
        return gettext("The function returned what JSON cannot carry; the worker's log says more.")
    if key == "result" and job.is_result_expired:
        return gettext("The result has expired: it was kept for a time, which is over.")
    try:
        value = job.result_json if key == "result" else getattr(job, key)
    except ResultUnreadableError:
        logger.exception("the result of job %s (%s) cannot be read", job.pk, job.name)
        return gettext(
            "The file in which the result stands cannot be read; the log of this server says more."
        )
    return json.dumps(redact_job_value(job, value), indent=2, ensure_ascii=False)


def text_view(model_admin: JobAdmin, request: HttpRequest, pk: int, what: str) -> HttpResponse:
    """Return the whole of a value, or of a try's error, as plain text."""
    job = _visible(model_admin, request, pk)
    require_permission(request, VIEW_ARGUMENTS)
    text: str | None = None
    if what in VALUES:
        text = value_text(job, what)
    elif what.startswith("try-") and what[4:].isascii() and what[4:].isdigit() and len(what) < 14:
        text = full_error_text(job, int(what[4:]))
    if text is None:
        raise Http404(gettext("There is no such text."))
    answer = HttpResponse(text.encode("utf-8", "backslashreplace"), content_type="text/plain; charset=utf-8")
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def action_view(model_admin: JobAdmin, request: HttpRequest, pk: int, key: str) -> HttpResponse:
    """Do what a button says, and go back to the page with a message that says what came of it."""
    verb = ACTIONS.get(key)
    if request.method != "POST" or verb is None or key == "purge":
        raise Http404
    _require_view(model_admin, request)
    require_permission(request, verb.permission)
    is_there = report_one(model_admin, request, key, pk, apply(request, verb, [pk]))
    return HttpResponseRedirect(
        model_admin.url("job_change", pk) if is_there else model_admin.url("job_changelist")
    )


def purge_view(model_admin: JobAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether a job is to be deleted for good, and do it."""
    _require_view(model_admin, request)
    require_permission(request, ACTIONS["purge"].permission)
    if request.method == "POST":
        is_there = report_one(model_admin, request, "purge", pk, apply(request, ACTIONS["purge"], [pk]))
        return HttpResponseRedirect(
            model_admin.url("job_change", pk) if is_there else model_admin.url("job_changelist")
        )
    job = model_admin.get_object(request, str(pk))
    if job is None:
        return redirect_missing(model_admin, request, pk)
    return confirm_purge(model_admin, request, [job], back=model_admin.url("job_change", pk), fields=[])


def confirm_purge(
    model_admin: JobAdmin, request: HttpRequest, jobs: list[Job], *, back: str, fields: list[tuple[str, Any]]
) -> TemplateResponse:
    """Return the page that asks; ``fields`` are posted with the answer."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": gettext("Purge jobs"),
        "media": model_admin.media,
        "original": jobs[0] if len(jobs) == 1 else None,
        "jobs": [(job, state_label(job.state)) for job in jobs],
        "fields": fields,
        "back": back,
    }
    return TemplateResponse(request, "admin/django_jobs/job/purge.html", context)


def redirect_missing(model_admin: JobAdmin, request: HttpRequest, pk: int | str) -> HttpResponse:
    """Say that a job is not there any more, and go to the list."""
    text = gettext("Job %(id)s is gone: it was purged or pruned meanwhile.") % {"id": pk}
    model_admin.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(model_admin.url("job_changelist"))


def _require_view(model_admin: JobAdmin, request: HttpRequest) -> None:
    if not model_admin.has_view_permission(request):
        raise PermissionDenied


def _visible(model_admin: JobAdmin, request: HttpRequest, pk: int) -> Job:
    _require_view(model_admin, request)
    job = model_admin.get_object(request, str(pk))
    if job is None:
        raise Http404(gettext("There is no such job."))
    return job
