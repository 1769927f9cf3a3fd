"""What people are shown of jobs: values and keys with their secrets masked (REDACT, ``@job(redact=...)``), waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from . import registry
from .conf import get_settings
from .policy.limits import Kind
from .policy.redact import MASK, redact
from .policy.why_not_running import Reason, Why

if TYPE_CHECKING:
    from .models import Job

SENTENCES = {
    Why.WAITS_FOR_A_JOB: _("It waits for another job to end."),
    Why.AT_RATE: _(
        "It waits at the rate limit of %(limit)s: %(used)s of %(capacity)s permits are in use, the next is free at"
        " %(free)s."
    ),
    Why.AT_RATE_IN_USE: _(
        "It waits at the rate limit of %(limit)s: %(used)s of %(capacity)s permits are in use by jobs that have not"
        " ended; when the next is free depends on their ends."
    ),
    Why.AT_CONCURRENCY: _(
        "It waits for a place at %(limit)s: %(used)s of %(capacity)s are taken, by the jobs %(holders)s."
    ),
    Why.IN_ORDER_RUNS: _(
        "It waits for its turn in the order of %(limit)s: job %(holder)s goes before it and is running."
    ),
    Why.IN_ORDER_NEXT_TRY: _(
        "It waits for its turn in the order of %(limit)s: job %(holder)s goes before it and waits for its next try"
        " at %(due)s."
    ),
    Why.IN_ORDER_WAITS: _(
        "It waits for its turn in the order of %(limit)s: job %(holder)s goes before it and has not begun."
    ),
    Why.BREAKER_OPEN: _(
        "The breaker of %(limit)s has opened after failures: none starts before %(until)s, then one to try."
    ),
    Why.BREAKER_TRIES: _(
        "The breaker of %(limit)s has opened after failures and lets one job try, %(holders)s; its end decides."
    ),
    Why.HELD_BACK: _("The called server asked for a pause: none of %(limit)s starts before %(until)s."),
    Why.LET_IN: _("It has come to a limit; a worker is about to let it in."),
    Why.LET_IN_AND_NO_WORKER: _("It has come to a limit, and no worker is alive to let it in."),
    Why.WAITS_FOR_JOBS: _("It waits for these jobs to succeed: %(jobs)s."),
    Why.WAITS_FOR_DEAD: _(
        "It waits for jobs that are dead: %(jobs)s. Once they have been run again and succeed, it goes on."
    ),
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
_LIMIT_OF_KEY = _('%(name)s, key "%(key)s"')
_AHEAD = _("Waiting before it: %(ahead)s.")
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


def shown_key(kind: Kind, name: str, key: str) -> str:
    """Return a limit's key as people may see it: masked where it is the value of a secret argument of some job."""
    for definition in registry.all_definitions():
        for limit in definition.options.limits:
            is_it = limit.rule().kind is kind and (limit.name or definition.name) == name
            if is_it and isinstance(limit.key, str):
                argument = limit.key
                if shown_of(definition.name, {argument: key})[argument] == MASK:
                    return MASK
    return key


def limit_words(kind: Kind, name: str, key: str, *, sees_keys: bool = True) -> str:
    """Return what a limit is called: its name, and its key where it has one that may be seen."""
    if not key or not sees_keys:
        return name
    return str(_LIMIT_OF_KEY) % {"name": name, "key": shown_key(kind, name, key)}


def sentence(reason: Reason, *, instant: Callable[[datetime], str], sees_keys: bool = True) -> str:
    """Return a reason in words of the current language; ``instant`` writes an instant.

    Of a job that waits at a limit how many wait before it is said in a second sentence, where there are any. The
    limit's key is told only to those who may see arguments: ``sees_keys``.
    """
    text = SENTENCES[reason.why]
    if reason.why is Why.PAUSED and not reason.values["by"]:
        text = _PAUSED_BY_NOBODY
    values: dict[str, Any] = {
        name: instant(value) if isinstance(value, datetime) else value
        for name, value in reason.values.items()
    }
    if "kind" in values:
        values["limit"] = limit_words(values["kind"], values["name"], values["key"], sees_keys=sees_keys)
    said = str(text) % values
    return f"{said} {str(_AHEAD) % values}" if "ahead" in values else said
