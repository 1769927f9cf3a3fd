"""What staff do to jobs: each a verb of the store, with its permission, its entry in the log and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ... import operations
from ...models import Job
from ...policy.states import APPLICABLE_STATES, State
from ..site.base import actor
from ..site.permissions import CANCEL, PURGE, RETRY
from .labels import state_label

if TYPE_CHECKING:
    from .admin import JobAdmin


class Operation(Protocol):
    """An operation on jobs that returns how many it changed."""

    def __call__(self, target: QuerySet[Job], /, *, by: str) -> int:
        """Apply it in the name of ``by``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAction:
    """One thing to do: to jobs in which states, by which permission, and what the log says of it."""

    permission: str
    states: frozenset[State]
    apply: Operation
    log_message: Any


ACTIONS = {
    "run_now": JobAction(
        permission=RETRY,
        states=APPLICABLE_STATES["run_now"],
        apply=operations.run_now,
        log_message=_("Made ready before it was due."),
    ),
    "retry": JobAction(
        permission=RETRY,
        states=APPLICABLE_STATES["retry"],
        apply=operations.retry,
        log_message=_("Made ready to run again."),
    ),
    "cancel": JobAction(
        permission=CANCEL,
        states=APPLICABLE_STATES["cancel"],
        apply=lambda jobs, *, by: sum(operations.cancel(jobs, by=by)),
        log_message=_("Cancelled, or asked to end."),
    ),
    "purge": JobAction(
        permission=PURGE,
        states=APPLICABLE_STATES["purge"],
        apply=operations.purge,
        log_message=_("Purged."),
    ),
}


def apply(request: HttpRequest, verb: JobAction, ids: Sequence[int]) -> list[Job]:
    """Do it to those of the jobs that it applies to, log it, and return, as they were, those that it changed.

    Which those are is told by looking before and after: a job that somebody else changed in between is left out
    where the verb changed none.
    """
    before = list(_light().filter(pk__in=ids, state__in=[state.value for state in verb.states]))
    changed = verb.apply(Job.objects.filter(pk__in=[job.pk for job in before]), by=actor(request))
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
