"""Actions of staff on dead letters: redrive, resolve, purge; each has a permission and is logged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from django.contrib.admin.models import CHANGE, DELETION
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ... import operations
from ...builtin_jobs import purge_matching, redrive_matching, resolve_matching
from ...models import DeadLetter
from ...registry import DefinedJob
from ..site.page_admin import actor, log_rows
from ..site.permissions import PURGE_DEAD_LETTERS, REDRIVE, RESOLVE


class Operation(Protocol):
    """An operation on dead letters that returns how many it changed."""

    def __call__(self, target: QuerySet[DeadLetter], /, *, by: str) -> int:
        """Apply it in the name of ``by``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterAction:
    """An action on some dead letters at once, or by ``bulk_job`` on all that match. ``past`` is its participle."""

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
        bulk_label=_("Redrive all matching"),
        warning=_("Their jobs become ready again with all their attempts."),
        past=_("redriven"),
        status=DeadLetter.Status.REDRIVEN,
        apply=operations.redrive,
        bulk_job=redrive_matching,
    ),
    "resolve": DeadLetterAction(
        permission=RESOLVE,
        label=_("Resolve"),
        bulk_label=_("Resolve all matching"),
        warning=_("They are no longer listed as open; their jobs stay dead."),
        past=_("resolved"),
        status=DeadLetter.Status.RESOLVED,
        apply=operations.resolve,
        bulk_job=resolve_matching,
    ),
    "purge": DeadLetterAction(
        permission=PURGE_DEAD_LETTERS,
        label=_("Purge"),
        bulk_label=_("Purge all matching"),
        warning=_("Their jobs and attempts are deleted permanently. The dead letters are kept as a record."),
        past=_("purged"),
        status=DeadLetter.Status.PURGED,
        apply=operations.purge,
        bulk_job=purge_matching,
    ),
}


def apply(request: HttpRequest, action: DeadLetterAction, ids: list[int]) -> int:
    """Apply the action to the open ones of the dead letters, log each, and return how many were changed."""
    dead_letters = DeadLetter.objects.filter(pk__in=ids)
    before = list(dead_letters.filter(status=DeadLetter.Status.OPEN).defer("traceback", "error_message"))
    if not before:
        return 0
    changed = action.apply(dead_letters, by=actor(request))
    changed_ids = set(dead_letters.filter(status=action.status).values_list("pk", flat=True))
    if changed:
        flag = DELETION if action.status is DeadLetter.Status.PURGED else CHANGE
        done = [dead_letter for dead_letter in before if dead_letter.pk in changed_ids]
        log_rows(request, done, flag, action.past)
    return changed
