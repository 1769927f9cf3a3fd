"""What people are shown of jobs: values and keys with their secrets masked (REDACT, ``@job(redact=...)``), waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from . import registry
from .conf import get_settings
from .policy.limits import LimitKind
from .policy.redact import MASK, redact
from .policy.why_not_running import WaitExplanation, WaitReason

if TYPE_CHECKING:
    from .models import Job

REASON_TEXTS = {
    WaitReason.WAITS_FOR_A_JOB: _("It waits for another job to end."),
    WaitReason.AT_RATE: _(
        "It waits at the rate limit of %(limit)s: %(used)s of %(capacity)s permits are in use, the next is free at"
        " %(free)s."
    ),
    WaitReason.AT_RATE_IN_USE: _(
        "It waits at the rate limit of %(limit)s: %(used)s of %(capacity)s permits are in use by jobs that have not"
        " ended; when the next is free depends on their ends."
    ),
    WaitReason.AT_CONCURRENCY: _(
        "It waits for a place at %(limit)s: %(used)s of %(capacity)s are taken, by the jobs %(holders)s."
    ),
    WaitReason.IN_ORDER_RUNNING: _(
        "It waits for its turn in the order of %(limit)s: job %(holder)s goes before it and is running."
    ),
    WaitReason.IN_ORDER_NEXT_ATTEMPT: _(
        "It waits for its turn in the order of %(limit)s: job %(holder)s goes before it and waits for its next try"
        " at %(due)s."
    ),
    WaitReason.IN_ORDER_WAITS: _(
        "It waits for its turn in the order of %(limit)s: job %(holder)s goes before it and has not begun."
    ),
    WaitReason.BREAKER_OPEN: _(
        "The breaker of %(limit)s has opened after failures: none starts before %(until)s, then one to try."
    ),
    WaitReason.BREAKER_HALF_OPEN: _(
        "The breaker of %(limit)s has opened after failures and lets one job try, %(holders)s; its end decides."
    ),
    WaitReason.LIMIT_CLOSED: _(
        "The called server asked for a pause: none of %(limit)s starts before %(until)s."
    ),
    WaitReason.ADMITTED: _("It has come to a limit; a worker is about to let it in."),
    WaitReason.ADMITTED_NO_WORKER: _("It has come to a limit, and no worker is alive to let it in."),
    WaitReason.WAITS_FOR_JOBS: _("It waits for these jobs to succeed: %(jobs)s."),
    WaitReason.WAITS_FOR_DEAD: _(
        "It waits for jobs that are dead: %(jobs)s. Once they have been run again and succeed, it goes on."
    ),
    WaitReason.NAME_UNKNOWN: _(
        "No worker has known a job named %(name)s since %(since)s; it is offered again at %(due)s."
    ),
    WaitReason.NAME_UNKNOWN_DUE: _(
        "No worker has known a job named %(name)s since %(since)s; it is ready to be offered again."
    ),
    WaitReason.NOT_DUE: _("It is not due until %(due)s."),
    WaitReason.RETRY_DUE: _("The last try did not succeed; try %(next)s of %(most)s is due at %(due)s."),
    WaitReason.SNOOZED: _("It asked to run again later, at %(due)s."),
    WaitReason.DUE: _("It has been due since %(due)s; a worker is about to make it ready."),
    WaitReason.DUE_NO_WORKER: _("It has been due since %(due)s, and no worker is alive to make it ready."),
    WaitReason.PAUSED: _("The queue %(queue)s has been paused by %(by)s since %(since)s."),
    WaitReason.NO_WORKER: _("It is ready, and no worker is alive."),
    WaitReason.NOT_SERVED: _("It is ready, and no living worker serves the queue %(queue)s."),
    WaitReason.BEHIND: _("It is ready, behind %(number)s others in the queue %(queue)s."),
    WaitReason.BEHIND_MANY: _("It is ready, behind more than %(number)s others in the queue %(queue)s."),
    WaitReason.FIRST: _(
        "It is ready and the first in the queue %(queue)s: the next worker that is free claims it."
    ),
    WaitReason.RUNS: _("It has been running since %(since)s on %(worker)s, last heard of at %(heard)s."),
    WaitReason.CANCEL_REQUESTED: _(
        "It has been running since %(since)s on %(worker)s; it was asked at %(asked)s to end and has not yet."
    ),
    WaitReason.WORKER_SILENT: _(
        "Its worker %(worker)s has not been heard of since %(heard)s; the job is about to be rescued."
    ),
    WaitReason.WORKER_GONE: _("Its worker %(worker)s is gone; the job is about to be rescued."),
}
_LIMIT_OF_KEY = _('%(name)s, key "%(key)s"')
_AHEAD = _("Waiting before it: %(ahead)s.")
_PAUSED_BY_NOBODY = _("The queue %(queue)s has been paused since %(since)s.")


def redact_job_value(job: Job, value: Any) -> Any:
    """Return ``value``, the job's stored arguments, metadata or result, as people may see it."""
    return redact_for_job(job.name, value)


def redact_for_job(job_name: str, value: Any) -> Any:
    """Do the same for values that a schedule has for jobs of this name."""
    return redact(value, parts=secret_parts(), names=secret_names(job_name))


def secret_parts() -> tuple[str, ...]:
    """Return what makes a name a secret's by being a part of it."""
    return get_settings().redact


def secret_names(job_name: str) -> tuple[str, ...]:
    """Return the arguments that ``@job(redact=...)`` names for jobs of this name."""
    definition = registry.find(job_name)
    return tuple(definition.options.redact) if definition is not None else ()


def redact_limit_key(kind: LimitKind, name: str, key: str) -> str:
    """Return a limit's key as people may see it: masked where it is the value of a secret argument of some job."""
    for definition in registry.all_definitions():
        for limit in definition.options.limits:
            is_it = limit.rule().kind is kind and (limit.name or definition.name) == name
            if is_it and isinstance(limit.key, str):
                argument = limit.key
                if redact_for_job(definition.name, {argument: key})[argument] == MASK:
                    return MASK
    return key


def limit_label(kind: LimitKind, name: str, key: str, *, show_keys: bool = True) -> str:
    """Return what a limit is called: its name, and its key where it has one that may be seen."""
    if not key or not show_keys:
        return name
    return str(_LIMIT_OF_KEY) % {"name": name, "key": redact_limit_key(kind, name, key)}


def render_reason(
    reason: WaitExplanation, *, instant: Callable[[datetime], str], show_keys: bool = True
) -> str:
    """Return a reason in words of the current language; ``instant`` writes an instant.

    Of a job that waits at a limit how many wait before it is said in a second sentence, where there are any. The
    limit's key is told only to those who may see arguments: ``show_keys``.
    """
    text = REASON_TEXTS[reason.why]
    if reason.why is WaitReason.PAUSED and not reason.values["by"]:
        text = _PAUSED_BY_NOBODY
    values: dict[str, Any] = {
        name: instant(value) if isinstance(value, datetime) else value
        for name, value in reason.values.items()
    }
    if "kind" in values:
        values["limit"] = limit_label(values["kind"], values["name"], values["key"], show_keys=show_keys)
    said = str(text) % values
    return f"{said} {str(_AHEAD) % values}" if "ahead" in values else said
