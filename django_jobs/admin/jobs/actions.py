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
from ...policy.states import FINAL_STATES, WAITING_STATES, State, sources
from ...store.lifecycle.cancel import request_cancel
from ...store.lifecycle.purge import purge
from ...store.lifecycle.redrive import redrive
from ...store.lifecycle.run_now import run_now
from ..site.base import actor
from ..site.permissions import CANCEL, PURGE, RETRY
from .labels import state_words

if TYPE_CHECKING:
    from .admin import JobAdmin


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One thing to do: to jobs in which states, by which permission, and what the log says of it."""

    permission: str
    states: frozenset[State]
    act: Callable[[QuerySet[Job], str], int]
    logged: Any


def _retry(jobs: QuerySet[Job], by: str) -> int:
    return redrive(jobs.filter(state=State.DEAD), by=by) + run_now(jobs.filter(state=State.SCHEDULED))


VERBS = {
    "run_now": Verb(
        permission=RETRY,
        states=sources("run_now"),
        act=lambda jobs, _by: run_now(jobs),
        logged=_("Made ready before it was due."),
    ),
    "retry": Verb(
        permission=RETRY,
        states=sources("redrive") | sources("run_now"),
        act=_retry,
        logged=_("Made ready to run again."),
    ),
    "cancel": Verb(
        permission=CANCEL,
        states=WAITING_STATES | {State.RUNNING},
        act=lambda jobs, _by: request_cancel(jobs),
        logged=_("Cancelled, or asked to end."),
    ),
    "purge": Verb(
        permission=PURGE,
        states=FINAL_STATES,
        act=lambda jobs, by: purge(jobs, by=by),
        logged=_("Purged."),
    ),
}


def act(request: HttpRequest, verb: Verb, ids: Sequence[int]) -> list[Job]:
    """Do it to those of the jobs that it applies to, log it, and return, as they were, those that it changed.

    Which those are is told by looking before and after: a job that somebody else changed in between is left out
    where the verb changed none.
    """
    before = list(_light().filter(pk__in=ids, state__in=[state.value for state in verb.states]))
    changed = verb.act(Job.objects.filter(pk__in=[job.pk for job in before]), actor(request))
    if not changed:
        return []
    after = {job.pk: job for job in _light().filter(pk__in=[job.pk for job in before])}
    done = [job for job in before if _differs(job, after.get(job.pk))]
    flag = DELETION if verb is VERBS["purge"] else CHANGE
    log(request, done, flag, verb.logged)
    return done


def log(request: HttpRequest, jobs: Sequence[Job], flag: int, said: Any) -> None:
    """Write an entry into Django's log for each job. One statement."""
    if jobs:
        LogEntry.objects.log_actions(request.user.pk, jobs, flag, change_message=str(said))  # type: ignore[arg-type]


def say_one(page: JobAdmin, request: HttpRequest, key: str, pk: int, done: Sequence[Job]) -> bool:
    """Say what became of one job and tell whether it is still there."""
    now = _light().filter(pk=pk).first()
    if done:
        page.message_user(request, _success(key, pk, now), messages.SUCCESS)
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
            "state": state_words(now.state),
        }
    page.message_user(request, text, messages.WARNING)
    return now is not None


def say_many(page: JobAdmin, request: HttpRequest, changed: int, chosen: int) -> None:
    """Say how many of the selected were changed."""
    text = ngettext(
        "%(changed)d of %(chosen)d job changed.", "%(changed)d of %(chosen)d jobs changed.", chosen
    )
    level = messages.SUCCESS if changed else messages.WARNING
    page.message_user(request, text % {"changed": changed, "chosen": chosen}, level)


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
