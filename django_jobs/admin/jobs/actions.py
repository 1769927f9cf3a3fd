"""What staff do to jobs: each a verb of the store, with its permission, its entry in the log and its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ...models import Job
from ...policy.states import FINAL_STATES, WAITING_STATES, State, source_states
from ...store.lifecycle.cancel import request_cancel
from ...store.lifecycle.purge import purge
from ...store.lifecycle.redrive import redrive
from ...store.lifecycle.run_now import run_now
from ..site.base import actor
from ..site.permissions import CANCEL, PURGE, RETRY
from .labels import state_label

if TYPE_CHECKING:
    from .admin import JobAdmin


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAction:
    """One thing to do: to jobs in which states, by which permission, and what the log says of it."""

    permission: str
    states: frozenset[State]
    apply: Callable[[QuerySet[Job], str], int]
    log_message: Any


def _retry(jobs: QuerySet[Job], by: str) -> int:
    return redrive(jobs.filter(state=State.DEAD), by=by) + run_now(jobs.filter(state=State.SCHEDULED))


ACTIONS = {
    "run_now": JobAction(
        permission=RETRY,
        states=source_states("run_now"),
        apply=lambda jobs, _by: run_now(jobs),
        log_message=_("Made ready before it was due."),
    ),
    "retry": JobAction(
        permission=RETRY,
        states=source_states("redrive") | source_states("run_now"),
        apply=_retry,
        log_message=_("Made ready to run again."),
    ),
    "cancel": JobAction(
        permission=CANCEL,
        states=WAITING_STATES | {State.RUNNING},
        apply=lambda jobs, _by: request_cancel(jobs),
        log_message=_("Cancelled, or asked to end."),
    ),
    "purge": JobAction(
        permission=PURGE,
        states=FINAL_STATES,
        apply=lambda jobs, by: purge(jobs, by=by),
        log_message=_("Purged."),
    ),
}


def apply(request: HttpRequest, verb: JobAction, ids: Sequence[int]) -> list[Job]:
    """Do it to those of the jobs that it applies to, log it, and return, as they were, those that it changed.

    Which those are is told by looking before and after: a job that somebody else changed in between is left out
    where the verb changed none.
    """
    before = list(_light().filter(pk__in=ids, state__in=[state.value for state in verb.states]))
    changed = verb.apply(Job.objects.filter(pk__in=[job.pk for job in before]), actor(request))
    if not changed:
        return []
    after = {job.pk: job for job in _light().filter(pk__in=[job.pk for job in before])}
    done = [job for job in before if _differs(job, after.get(job.pk))]
    flag = DELETION if verb is ACTIONS["purge"] else CHANGE
    log_action(request, done, flag, verb.log_message)
    return done


def log_action(request: HttpRequest, jobs: Sequence[Job], flag: int, said: Any) -> None:
    """Write an entry into Django's log for each job. One statement."""
    if jobs:
        LogEntry.objects.log_actions(request.user.pk, jobs, flag, change_message=str(said))  # type: ignore[arg-type]


def report_one(model_admin: JobAdmin, request: HttpRequest, key: str, pk: int, done: Sequence[Job]) -> bool:
    """Say what became of one job and tell whether it is still there."""
    now = _light().filter(pk=pk).first()
    if done:
        model_admin.message_user(request, _success(key, pk, now), messages.SUCCESS)
        return now is not None
    if now is None:
        text = gettext("Job %(id)s is gone: it was purged or pruned meanwhile.") % {"id": pk}
    elif key == "run_now" and now.state == State.READY:
        text = gettext(
            "Job %(id)s is ready already: a worker takes it when its turn comes, there is nothing to hurry."
        ) % {"id": pk}
    elif key == "cancel" and now.state == State.RUNNING:
        text = gettext("Job %(id)s has been asked to end already.") % {"id": pk}
    else:
        text = gettext("Job %(id)s is %(state)s by now; nothing was changed.") % {
            "id": pk,
            "state": state_label(now.state),
        }
    model_admin.message_user(request, text, messages.WARNING)
    return now is not None


def report_many(model_admin: JobAdmin, request: HttpRequest, changed: int, chosen: int) -> None:
    """Say how many of the selected were changed."""
    text = ngettext(
        "%(changed)d of %(chosen)d job changed.", "%(changed)d of %(chosen)d jobs changed.", chosen
    )
    level = messages.SUCCESS if changed else messages.WARNING
    model_admin.message_user(request, text % {"changed": changed, "chosen": chosen}, level)


def _success(key: str, pk: int, now: Job | None) -> str:
    values = {"id": pk}
    if now is None:
        return gettext("Job %(id)s is purged.") % values
    if key == "cancel" and now.state != State.CANCELLED:
        return gettext("Job %(id)s has been asked to end.") % values
    if key == "cancel":
        return gettext("Job %(id)s is cancelled.") % values
    return gettext("Job %(id)s is ready: a worker takes it when its turn comes.") % values


def _differs(before: Job, after: Job | None) -> bool:
    if after is None:
        return True
    return (before.state, before.cancel_requested_at) != (after.state, after.cancel_requested_at)


def _light() -> QuerySet[Job]:
    return Job.objects.defer("arguments", "metadata", "result_data")
