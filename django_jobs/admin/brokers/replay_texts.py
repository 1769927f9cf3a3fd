"""The texts of a replay's pages: how far a count or a replay is, what was found, and its range."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ...brokers.replay_jobs import COUNT_MESSAGES, REPLAY_MESSAGES
from ...brokers.subscriptions import find_consumption
from ...models import Job, MessageSource
from ...operations import why_not_running
from ...policy.states import State
from ...reasons import render_reason
from ..site.labels import state_label
from ..site.page_admin import PageAdmin
from ..site.permissions import VIEW_ARGUMENTS, has_permission
from ..site.times import format_timestamp, time_text

NAMES = {
    "since": _("From"),
    "until": _("Before"),
    "partition": _("Partition"),
    "start": _("From position"),
    "end": _("Before position"),
}


def progress_status(request: HttpRequest, job: Job) -> dict[str, Any]:
    """Return the progress in numbers and as a sentence."""
    done = job.progress_done or 0
    status = {"done": done, "total": job.progress_total, "is_final": job.is_final}
    if job.name == COUNT_MESSAGES and job.state == State.SUCCEEDED:
        return status | {"text": _result_text(request, job)}
    if not (job.is_final or job.state == State.RUNNING) and (reason := why_not_running(job)) is not None:
        said = job.progress_message if has_permission(request, VIEW_ARGUMENTS) else ""
        return status | {"text": " ".join(filter(None, [render_reason(reason, instant=time_text), capfirst(said)]))}
    number = number_format(done, force_grouping=True)
    if job.name == COUNT_MESSAGES:
        text = ngettext("%(number)s message read.", "%(number)s messages read.", done) % {"number": number}
    else:
        text = ngettext("%(number)s job enqueued again.", "%(number)s jobs enqueued again.", done) % {"number": number}
    if job.is_final:
        text += " " + gettext("Job %(state)s.") % {"state": state_label(job.state)}
        if poison := (result_of(job) or {}).get("poison"):
            text += " " + _poison_text(poison)
    return status | {"text": text}


def result_of(job: Job) -> dict[str, Any] | None:
    """Return the result of a job that has succeeded, if it is still kept."""
    result = job.result if job.state == State.SUCCEEDED and not job.is_result_expired else None
    return result if isinstance(result, dict) else None


def counted_of(job: Job) -> dict[str, Any] | None:
    """Return the result of a count that has found what can be replayed."""
    result = result_of(job) if job.name == COUNT_MESSAGES else None
    return result if result is not None and "ranges" in result else None


def _result_text(request: HttpRequest, job: Job) -> str:
    result = result_of(job)
    if result is None:
        return gettext("The result has expired; count again.")
    if "problem" in result:
        if has_permission(request, VIEW_ARGUMENTS):
            return gettext("It cannot be replayed: %(problem)s") % {"problem": result["problem"]}
        return gettext("It cannot be replayed; who may see errors finds the reason in the job's result.")
    return counted_text(result)


def counted_text(counted: dict[str, Any]) -> str:
    """Return the numbers of a count as sentences."""
    number = number_format(counted["jobs"], force_grouping=True)
    text = ngettext(
        "%(number)s message would become a job again.",
        "%(number)s messages would become jobs again.",
        counted["jobs"],
    ) % {"number": number}
    return f"{text} {_poison_text(counted['poison'])}" if counted["poison"] else text


def _poison_text(number: int) -> str:
    return ngettext(
        "%(number)s message cannot become a job: it becomes a dead letter.",
        "%(number)s messages cannot become jobs: they become dead letters.",
        number,
    ) % {"number": number_format(number, force_grouping=True)}


def ranges_of(counted: dict[str, Any] | None, job: Job) -> list[tuple[str, str, str]]:
    """Return partition, first position and the position behind the last, those of a replay from its arguments."""
    ranges = job.arguments.get("ranges") if job.name == REPLAY_MESSAGES else (counted or {}).get("ranges")
    return [(name, start, end) for name, (start, end) in sorted((ranges or {}).items())]


def details_of(job: Job) -> list[tuple[Any, Any]]:
    """Return the (name, value) pairs of the range that was asked for, and who asked."""
    wanted = job.arguments.get("wanted") or {}
    by = job.metadata.get("by") if isinstance(job.metadata, dict) else None
    values = {
        name: format_timestamp(datetime.fromisoformat(value), is_relative=False)
        if name in ("since", "until")
        else value
        for name, value in wanted.items()
        if name in NAMES
    }
    return [(NAMES[name], value) for name, value in values.items()] + ([(gettext("By"), by)] if by else [])


def key_of(source: MessageSource) -> dict[str, str]:
    """Return the source as the jobs of a replay name it."""
    return {"broker": source.broker, "name": source.name, "group": source.group}


def source_rows(key: dict[str, str]) -> list[MessageSource]:
    """Return the row of a source, if it is still there."""
    return list(MessageSource.objects.filter(**key))


def label_of(job: Job) -> str:
    """Return the source of a count or a replay as a text."""
    return str(MessageSource(**job.arguments["source"]))


def job_name_of(key: dict[str, str]) -> str:
    """Return the name of the jobs that a source's messages become."""
    found = find_consumption(key["broker"], key["name"], key["group"])
    return "-" if found is None else found.definition.name


def trail_of(model_admin: PageAdmin[MessageSource], job: Job) -> list[tuple[str, str]]:
    """Return the link to the source that stands above the pages."""
    rows = source_rows(job.arguments["source"])
    return [(model_admin.url("messagesource_change", row.pk), str(row)) for row in rows]
