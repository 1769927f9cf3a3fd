"""Stop a worker at once, for a job that does not end: a page that asks, and says what becomes of its other jobs."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext, ngettext

from ..conf import get_settings
from ..conf.database import current_database
from ..models import Job, Worker
from ..operations import kill_worker
from ..policy.activity import THREAD
from ..policy.states import State
from ..store.clock import database_now
from ..store.stats.live_workers import describe_workers
from .running import load_text
from .site.databases import row_text
from .site.labels import format_duration
from .site.links import may_open, page_url
from .site.page_admin import PageAdmin, actor, log_rows
from .site.permissions import KILL, has_permission, require_permission

MAX_NAMED = 20
"""Other running jobs that the page names."""


def kill_url(model_admin: PageAdmin[Any], request: HttpRequest, job: Job) -> str | None:
    """Return the address of the page that asks, for a job that has begun; None if the user may not."""
    may = has_permission(request, KILL) and may_open(request, model_admin.admin_site, "worker")
    if not may or job.run_started_at is None or job.worker is None:
        return None
    is_killable = job.worker.state in Worker.ALIVE_STATES and job.worker.kill_requested_at is None
    return f"{model_admin.url('worker_kill', job.worker_id)}?job={job.pk}" if is_killable else None


def thread_note(job: Job) -> str:
    """Return what a request to cancel cannot do: interrupt a plain function in a thread. Empty if it can."""
    run = job.reported_run if job.cancel_requested_at else None
    if run is None or run.place != THREAD:
        return ""
    if job.worker is not None and job.worker.kill_requested_at is not None:
        return gettext("Its worker was asked to stop at once, and does so at its next heartbeat.")
    return gettext(
        "A function in a thread is not interrupted: it ends when it checks for the request, returns or reaches its"
        " timeout. Stopping its worker ends it now."
    )


def kill_view(model_admin: PageAdmin[Worker], request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then request the worker's end."""
    require_permission(request, KILL)
    worker = Worker.objects.filter(pk=pk).first()
    if worker is None:
        return model_admin.redirect_missing(request, gettext("This worker no longer exists."))
    given = request.POST.get("job", "") if request.method == "POST" else request.GET.get("job", "")
    blamed = _find_blamed(worker, given)
    job_url = "" if blamed is None else page_url(request, model_admin.admin_site, "job", blamed.pk)
    back = job_url or model_admin.url("worker_change", pk)
    if given and blamed is None:
        text = gettext("Nothing was changed: job %(id)s does not run under this worker any more.")
        model_admin.message_user(request, text % {"id": given[:20]}, messages.WARNING)
        return HttpResponseRedirect(back)
    if request.method == "POST":
        _kill(model_admin, request, worker, blamed)
        return HttpResponseRedirect(back)
    return _ask(model_admin, request, worker, blamed, back=back)


def _find_blamed(worker: Worker, given: str) -> Job | None:
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        return None
    return Job.objects.filter(pk=int(given), state=State.RUNNING, worker=worker.pk).first()


def _kill(model_admin: PageAdmin[Worker], request: HttpRequest, worker: Worker, blamed: Job | None) -> None:
    if not kill_worker(worker.pk, job_id=blamed.pk if blamed else None, by=actor(request)):
        text = gettext("Nothing was changed: not running, or stop requested before.")
        model_admin.message_user(request, text, messages.WARNING)
        return
    model_admin.log_change(request, worker, gettext("Stop at once requested."))
    if blamed is not None:
        log_rows(request, [blamed], CHANGE, gettext("Cancelled, and stop of its worker requested."))
    text = gettext(
        "Stop requested: the process ends at its next heartbeat, within %(time)s, and another takes its place."
    )
    time = format_duration(get_settings().worker.heartbeat_interval)
    model_admin.message_user(request, text % {"time": time}, messages.SUCCESS)


def _ask(
    model_admin: PageAdmin[Worker], request: HttpRequest, worker: Worker, blamed: Job | None, *, back: str
) -> HttpResponse:
    now = database_now()
    claimed = Job.objects.filter(state=State.RUNNING, worker=worker.pk).order_by("pk").defer("arguments", "result_data")
    (status,) = describe_workers([worker], list(claimed[:1_000]), now=now, using=current_database())
    others = [job for job in status.running if blamed is None or job.job_id != blamed.pk]
    details: list[tuple[Any, Any]] = [(gettext("Worker"), f"{worker}: {load_text(status)}")]
    if blamed is not None:
        details.append((gettext("Cancelled"), f"{blamed.name} {row_text(blamed.pk)}"))
    text = gettext("The process ends now, whatever its threads do. Another takes its place.")
    return model_admin.confirm(
        request,
        title=gettext("Stop a worker at once"),
        text=f"{text} {_return_text(len(others))}" if others else text,
        rows=[f"{job.name} {row_text(job.job_id)}" for job in others[:MAX_NAMED]],
        details=details,
        notes=[gettext("What these jobs have done outside of a transaction stays done.")],
        fields=[("job", blamed.pk)] if blamed else [],
        label=gettext("Yes, stop it at once"),
        is_destructive=True,
        back=back,
        trail=[(model_admin.url("worker_change", worker.pk), str(worker))],
    )


def _return_text(number: int) -> str:
    """Return what becomes of the jobs that are not cancelled."""
    return ngettext(
        "%(number)d running job goes back to its queue and begins anew; its attempt does not count.",
        "%(number)d running jobs go back to their queues and begin anew; their attempts do not count.",
        number,
    ) % {"number": number}
