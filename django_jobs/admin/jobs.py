"""Jobs: what waits, runs and has ended, each with its tries."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ..models import Attempt, Job
from ..policy.states import State
from ..shown import shown
from ..store.cancel import cancel
from ..store.purge import purge
from ..store.redrive import redrive
from ..store.run_now import run_now
from .base import ReadOnlyAdmin, actor, as_json, exactly


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin[Job]):
    """Lists jobs by state and queue; a job's page shows its arguments, result and tries."""

    list_display = (
        "id", "name", "state", "queue_name", "priority", "tries", "progress", "enqueued_at", "finished_at",
    )  # fmt: skip
    list_filter = ("state", "queue_name")
    search_fields = ("=id", "name")
    search_help_text = _("A job's number or part of its name")
    ordering = ("-id",)
    actions = ("retry_selected", "cancel_selected", "purge_selected")
    fieldsets = (
        (None, {"fields": ("name", "state", "queue_name", "priority", "tries", "progress")}),
        (_("Life"), {"fields": ("times", "timeline")}),
        (_("Data"), {"fields": ("readable_arguments", "readable_metadata", "readable_result")}),
    )
    readonly_fields = (
        "tries", "progress", "times", "timeline", "readable_arguments", "readable_metadata", "readable_result",
    )  # fmt: skip

    @admin.display(description=_("tries"), ordering="attempt")
    def tries(self, job: Job) -> str:
        """Return tries used of tries allowed."""
        return f"{job.attempt} / {job.max_attempts}"

    @admin.display(description=_("progress"))
    def progress(self, job: Job) -> str | SafeString:
        """Return a progress bar, or nothing where the job says nothing."""
        if job.progress_done is None:
            return ""
        if not job.progress_total:
            return f"{job.progress_done} {job.progress_message}".strip()
        return format_html(
            '<progress value="{}" max="{}"></progress> {}/{} {}',
            job.progress_done,
            job.progress_total,
            job.progress_done,
            job.progress_total,
            job.progress_message,
        )

    @admin.display(description=_("arguments"))
    def readable_arguments(self, job: Job) -> SafeString:
        """Return the arguments as indented JSON."""
        return as_json(shown(job, job.arguments))

    @admin.display(description=_("metadata"))
    def readable_metadata(self, job: Job) -> SafeString:
        """Return the metadata as indented JSON."""
        return as_json(shown(job, job.metadata))

    @admin.display(description=_("result"))
    def readable_result(self, job: Job) -> str | SafeString:
        """Return the result as indented JSON."""
        if job.is_result_lost:
            return str(_("The function returned what JSON cannot carry; the worker's log says more."))
        return as_json(shown(job, job.result_data))

    @admin.display(description=_("times"))
    def times(self, job: Job) -> SafeString:
        """Return the instants that the job has come to, to the millisecond."""
        instants = (
            (_("enqueued"), job.enqueued_at),
            (_("due"), job.run_after),
            (_("ready"), job.ready_at),
            (_("claimed"), job.started_at),
            (_("ended"), job.finished_at),
            (_("name unknown since"), job.held_since),
        )
        known = ((label, exactly(instant)) for label, instant in instants if instant is not None)
        return format_html_join("\n", "<div>{} {}</div>", known)

    @admin.display(description=_("tries"))
    def timeline(self, job: Job) -> str | SafeString:
        """Return each try with its outcome, length and traceback."""
        attempts = job.attempts.select_related("worker").order_by("claim_number")
        return format_html_join("\n", "<div>{}{}</div>", (_attempt_parts(one) for one in attempts)) or "-"

    @admin.action(description=_("Run again (dead) or now (scheduled)"), permissions=["change"])
    def retry_selected(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Redrive dead jobs and make scheduled ones ready."""
        changed = redrive(jobs.filter(state=State.DEAD), by=actor(request))
        changed += run_now(jobs.filter(state=State.SCHEDULED))
        _report(self, request, changed, jobs)

    @admin.action(description=_("Cancel what waits"), permissions=["change"])
    def cancel_selected(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Cancel those that are not running and have not ended."""
        _report(self, request, cancel(jobs), jobs)

    @admin.action(description=_("Purge what has ended"), permissions=["change"])
    def purge_selected(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        """Delete those in a final state."""
        chosen = jobs.count()
        _say(self, request, purge(jobs, by=actor(request)), chosen)


def _attempt_parts(attempt: Attempt) -> tuple[SafeString, SafeString]:
    length = f"{attempt.duration.total_seconds():.3f} s" if attempt.duration is not None else "-"
    head = format_html(
        "<strong>{}. {}</strong> {} {} ({})",
        attempt.number,
        attempt.outcome,
        exactly(attempt.finished_at),
        length,
        attempt.worker or "-",
    )
    if not attempt.error_class:
        return head, SafeString("")
    return head, format_html(
        "<details><summary>{}</summary><pre>{}</pre></details>", attempt.error, attempt.traceback
    )


def _report(page: ReadOnlyAdmin[Any], request: HttpRequest, changed: int, jobs: QuerySet[Job]) -> None:
    _say(page, request, changed, jobs.count())


def _say(page: ReadOnlyAdmin[Any], request: HttpRequest, changed: int, chosen: int) -> None:
    text = ngettext(
        "%(changed)d of %(chosen)d job changed.", "%(changed)d of %(chosen)d jobs changed.", chosen
    )
    level = messages.SUCCESS if changed else messages.WARNING
    page.message_user(request, text % {"changed": changed, "chosen": chosen}, level)
