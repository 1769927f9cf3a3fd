"""What people are shown of a job: values with their secrets masked (REDACT, ``@job(redact=...)``), why it waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from . import registry
from .conf import get_settings
from .policy.redact import redact
from .policy.waiting import Reason, Why

if TYPE_CHECKING:
    from .models import Job

SENTENCES = {
    Why.WAITS_FOR_A_JOB: _("It waits for another job to end."),
    Why.NAME_UNKNOWN: _(
        "No worker has known a job named %(name)s since %(since)s; it is offered again at %(due)s."
    ),
    Why.NAME_UNKNOWN_DUE: _(
        "No worker has known a job named %(name)s since %(since)s; it is ready to be offered again."
    ),
    Why.NOT_DUE: _("It is not due until %(due)s."),
    Why.RETRY_DUE: _("The last try did not succeed; try %(next)s of %(most)s is due at %(due)s."),
    Why.SNOOZED: _("It asked to run again later, at %(due)s."),
    Why.DUE: _("It has been due since %(due)s; a worker is about to make it ready."),
    Why.DUE_AND_NO_WORKER: _("It has been due since %(due)s, and no worker is alive to make it ready."),
    Why.PAUSED: _("The queue %(queue)s has been paused by %(by)s since %(since)s."),
    Why.NO_WORKER: _("It is ready, and no worker is alive."),
    Why.NOT_SERVED: _("It is ready, and no living worker serves the queue %(queue)s."),
    Why.BEHIND: _("It is ready, behind %(number)s others in the queue %(queue)s."),
    Why.BEHIND_MANY: _("It is ready, behind more than %(number)s others in the queue %(queue)s."),
    Why.FIRST: _("It is ready and the first in the queue %(queue)s: the next worker that is free claims it."),
    Why.RUNS: _("It has been running since %(since)s on %(worker)s, last heard of at %(heard)s."),
    Why.ASKED_TO_END: _(
        "It has been running since %(since)s on %(worker)s; it was asked at %(asked)s to end and has not yet."
    ),
    Why.WORKER_SILENT: _(
        "Its worker %(worker)s has not been heard of since %(heard)s; the job is about to be rescued."
    ),
    Why.WORKER_GONE: _("Its worker %(worker)s is gone; the job is about to be rescued."),
}
_PAUSED_BY_NOBODY = _("The queue %(queue)s has been paused since %(since)s.")


def shown(job: Job, value: Any) -> Any:
    """Return ``value``, the job's stored arguments, metadata or result, as people may see it."""
    return shown_of(job.name, value)


def shown_of(job_name: str, value: Any) -> Any:
    """Do the same for values that a schedule has for jobs of this name."""
    return redact(value, parts=secret_parts(), names=secret_names(job_name))


def secret_parts() -> tuple[str, ...]:
    """Return what makes a name a secret's by being a part of it."""
    return get_settings().redact


def secret_names(job_name: str) -> tuple[str, ...]:
    """Return the arguments that ``@job(redact=...)`` names for jobs of this name."""
    definition = registry.find(job_name)
    return tuple(definition.options.redact) if definition is not None else ()


def sentence(reason: Reason, *, instant: Callable[[datetime], str]) -> str:
    """Return a reason in words of the current language; ``instant`` writes an instant."""
    text = SENTENCES[reason.why]
    if reason.why is Why.PAUSED and not reason.values["by"]:
        text = _PAUSED_BY_NOBODY
    values = {
        name: instant(value) if isinstance(value, datetime) else value
        for name, value in reason.values.items()
    }
    return str(text) % values
