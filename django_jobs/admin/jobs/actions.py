"""Actions of staff on jobs: each has a permission, the states that it applies to, a log entry and a message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ... import operations
from ...models import Job
from ...policy.states import APPLICABLE_STATES, State
from ..site.labels import state_label
from ..site.page_admin import PageAdmin, actor, log_rows
from ..site.permissions import CANCEL, PURGE, RETRY


class Operation(Protocol):
    """An operation on jobs that returns how many it changed."""

    def __call__(self, target: QuerySet[Job], /, *, by: str) -> int:
        """Apply it in the name of ``by``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAction:
    """An action on the jobs in ``states``."""

    permission: str
    states: frozenset[State]
    apply: Operation
    log_message: Any


ACTIONS = {
    "run_now": JobAction(
        permission=RETRY,
        states=APPLICABLE_STATES["run_now"],
        apply=operations.run_now,
        log_message=_("Run now."),
    ),
    "retry": JobAction(
        permission=RETRY,
        states=APPLICABLE_STATES["retry"],
        apply=operations.retry,
        log_message=_("Retried."),
    ),
    "cancel": JobAction(
        permission=CANCEL,
        states=APPLICABLE_STATES["cancel"],
        apply=lambda jobs, *, by: sum(operations.cancel(jobs, by=by)),
        log_message=_("Cancelled, or cancellation requested."),
    ),
    "purge": JobAction(
        permission=PURGE,
        states=APPLICABLE_STATES["purge"],
        apply=operations.purge,
        log_message=_("Purged."),
    ),
}


def apply(request: HttpRequest, action: JobAction, ids: Sequence[int]) -> list[Job]:
    """Apply the action to the jobs in its states, log it, and return the changed jobs as they were before.

    The changed jobs are told by comparing before and after: one that somebody else changed in between is left out
    if the action changed none.
    """
    before = list(_light().filter(pk__in=ids, state__in=[state.value for state in action.states]))
    changed = action.apply(Job.objects.filter(pk__in=[job.pk for job in before]), by=actor(request))
    if not changed:
        return []
    after = {job.pk: job for job in _light().filter(pk__in=[job.pk for job in before])}
    done = [job for job in before if _differs(job, after.get(job.pk))]
    log_rows(request, done, DELETION if action is ACTIONS["purge"] else CHANGE, action.log_message)
    return done


def report_one(model_admin: PageAdmin[Job], request: HttpRequest, key: str, pk: int, *, is_done: bool) -> str:
    """Show a message about one job and return the address to go to: its page, or the list if it is gone."""
    now = _light().filter(pk=pk).first()
    if is_done:
        model_admin.message_user(request, _success_text(key, pk, now), messages.SUCCESS)
    else:
        model_admin.message_user(request, _unchanged_text(key, pk, now), messages.WARNING)
    return model_admin.url("job_change", pk) if now is not None else model_admin.url("job_changelist")


def report_many(model_admin: PageAdmin[Job], request: HttpRequest, changed: int, chosen: int) -> None:
    """Show how many of the selected jobs were changed."""
    text = ngettext("%(changed)d of %(chosen)d job changed.", "%(changed)d of %(chosen)d jobs changed.", chosen)
    level = messages.SUCCESS if changed else messages.WARNING
    model_admin.message_user(request, text % {"changed": changed, "chosen": chosen}, level)


def missing_text(pk: int | str) -> str:
    """Return the message for a job that no longer exists."""
    return gettext("Job %(id)s no longer exists: it was purged or pruned.") % {"id": pk}


def _success_text(key: str, pk: int, now: Job | None) -> str:
    if now is None:
        text = gettext("Job %(id)s purged.")
    elif key == "cancel" and now.state != State.CANCELLED:
        text = gettext("Cancellation of job %(id)s requested.")
    elif key == "cancel":
        text = gettext("Job %(id)s cancelled.")
    else:
        text = gettext("Job %(id)s is ready to run.")
    return text % {"id": pk}


def _unchanged_text(key: str, pk: int, now: Job | None) -> str:
    if now is None:
        return missing_text(pk)
    if key == "run_now" and now.state == State.READY:
        text = gettext("Job %(id)s is already ready to run.")
    elif key == "cancel" and now.state == State.RUNNING:
        text = gettext("Cancellation of job %(id)s was already requested.")
    else:
        text = gettext("Job %(id)s is %(state)s now; nothing was changed.")
    return text % {"id": pk, "state": state_label(now.state)}


def _differs(before: Job, after: Job | None) -> bool:
    if after is None:
        return True
    return (before.state, before.cancel_requested_at) != (after.state, after.cancel_requested_at)


def _light() -> QuerySet[Job]:
    return Job.objects.defer("arguments", "metadata", "result_data")
