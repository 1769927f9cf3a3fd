"""What staff do to dead letters: redrive, purge, resolve; each by its own permission, logged, and answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ... import operations
from ...builtin_jobs import purge_matching, redrive_matching, resolve_matching
from ...models import DeadLetter
from ...registry import DefinedJob
from ..site.base import actor
from ..site.permissions import PURGE_DEAD_LETTERS, REDRIVE, RESOLVE


class Operation(Protocol):
    """An operation on dead letters that returns how many it changed."""

    def __call__(self, target: QuerySet[DeadLetter], /, *, by: str) -> int:
        """Apply it in the name of ``by``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterAction:
    """One thing to do, to some letters at once or to all that match by ``bulk_job``. ``past`` tells what was done."""

    permission: str
    label: Any
    bulk_label: Any
    warning: Any
    past: Any
    status: DeadLetter.Status
    apply: Operation
    bulk_job: DefinedJob


ACTIONS = {
    "redrive": DeadLetterAction(
        permission=REDRIVE,
        label=_("Redrive"),
        bulk_label=_("Redrive all that match"),
        warning=_("Their jobs become ready again, with all their tries."),
        past=_("redriven"),
        status=DeadLetter.Status.REDRIVEN,
        apply=operations.redrive,
        bulk_job=redrive_matching,
    ),
    "resolve": DeadLetterAction(
        permission=RESOLVE,
        label=_("Resolve"),
        bulk_label=_("Resolve all that match"),
        warning=_("They leave the list of open letters; their jobs stay dead."),
        past=_("resolved"),
        status=DeadLetter.Status.RESOLVED,
        apply=operations.resolve,
        bulk_job=resolve_matching,
    ),
    "purge": DeadLetterAction(
        permission=PURGE_DEAD_LETTERS,
        label=_("Purge"),
        bulk_label=_("Purge all that match"),
        warning=_("Their jobs are deleted for good, with their tries. The letters stay as a record."),
        past=_("purged"),
        status=DeadLetter.Status.PURGED,
        apply=operations.purge,
        bulk_job=purge_matching,
    ),
}


def apply(request: HttpRequest, verb: DeadLetterAction, ids: list[int]) -> int:
    """Do it to those of the letters that are open, log each, and return how many were."""
    letters = DeadLetter.objects.filter(pk__in=ids)
    before = list(letters.filter(status=DeadLetter.Status.OPEN).defer("traceback", "error_message"))
    if not before:
        return 0
    changed = verb.apply(letters, by=actor(request))
    ended = set(letters.filter(status=verb.status).values_list("pk", flat=True))
    done = [letter for letter in before if letter.pk in ended]
    if changed and done:
        flag = DELETION if verb.status is DeadLetter.Status.PURGED else CHANGE
        LogEntry.objects.log_actions(request.user.pk, done, flag, change_message=str(verb.past))  # type: ignore[arg-type]
    return changed
