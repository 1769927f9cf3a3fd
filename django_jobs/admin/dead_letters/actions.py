"""What staff do to dead letters: redrive, purge, resolve; each by its own permission, logged, and answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ...builtin_jobs import purge_matching, redrive_matching, resolve_matching
from ...definition import JobDefinition
from ...models import DeadLetter
from ...store.dead_letters.resolve import resolve
from ...store.lifecycle.purge import purge
from ...store.lifecycle.redrive import redrive
from ..site.base import actor
from ..site.permissions import PURGE_LETTERS, REDRIVE, RESOLVE


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterVerb:
    """One thing to do, to some letters at once or to all that match by ``in_bulk``. ``past`` tells what was done."""

    permission: str
    label: Any
    all_label: Any
    warning: Any
    past: Any
    status: DeadLetter.Status
    act: Callable[[QuerySet[DeadLetter], str], int]
    in_bulk: JobDefinition[Any, Any]


VERBS = {
    "redrive": LetterVerb(
        permission=REDRIVE,
        label=_("Redrive"),
        all_label=_("Redrive all that match"),
        warning=_("Their jobs become ready again, with all their tries."),
        past=_("redriven"),
        status=DeadLetter.Status.REDRIVEN,
        act=lambda letters, by: redrive(letters, by=by),
        in_bulk=redrive_matching,
    ),
    "resolve": LetterVerb(
        permission=RESOLVE,
        label=_("Resolve"),
        all_label=_("Resolve all that match"),
        warning=_("They leave the list of open letters; their jobs stay dead."),
        past=_("resolved"),
        status=DeadLetter.Status.RESOLVED,
        act=lambda letters, by: resolve(letters, by=by),
        in_bulk=resolve_matching,
    ),
    "purge": LetterVerb(
        permission=PURGE_LETTERS,
        label=_("Purge"),
        all_label=_("Purge all that match"),
        warning=_("Their jobs are deleted for good, with their tries. The letters stay as a record."),
        past=_("purged"),
        status=DeadLetter.Status.PURGED,
        act=lambda letters, by: purge(letters, by=by),
        in_bulk=purge_matching,
    ),
}


def act(request: HttpRequest, verb: LetterVerb, ids: list[int]) -> int:
    """Do it to those of the letters that are open, log each, and return how many were."""
    letters = DeadLetter.objects.filter(pk__in=ids)
    before = list(letters.filter(status=DeadLetter.Status.OPEN).defer("traceback", "error_message"))
    if not before:
        return 0
    changed = verb.act(letters, actor(request))
    ended = set(letters.filter(status=verb.status).values_list("pk", flat=True))
    done = [letter for letter in before if letter.pk in ended]
    if changed and done:
        flag = DELETION if verb.status is DeadLetter.Status.PURGED else CHANGE
        LogEntry.objects.log_actions(request.user.pk, done, flag, change_message=str(verb.past))  # type: ignore[arg-type]
    return changed
