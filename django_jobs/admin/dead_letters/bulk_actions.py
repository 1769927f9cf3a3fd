"""Bulk actions on all dead letters that match: the subject of the pages of ``bulk``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext

from ...models import DeadLetter, Job
from ...policy.dead_letter_filter import DeadLetterFilter
from ...store.clock import database_now
from ...store.dead_letters.search import (
    count_open_dead_letters,
    newest_dead_letter_ids,
)
from ..bulk.confirm import bulk_action_links as links
from ..bulk.options import MAX_SAMPLE_SIZE
from ..bulk.subject import BulkAction, Matches
from ..site.page_admin import PageAdmin
from ..site.permissions import VIEW_ARGUMENTS, require_permission
from .actions import ACTIONS
from .filters import read_dead_letter_filter, requested_status


class DeadLetterSubject:
    """Open dead letters; those that came after the count are left out by their ids."""

    prefix = "deadletter"
    argument = "dead_letter_filter"
    actions: Mapping[str, BulkAction] = {
        key: BulkAction(
            permission=action.permission,
            label=action.label,
            bulk_label=action.bulk_label,
            warning=action.warning,
            past=action.past,
            job=action.bulk_job,
            options=("first", "again_at", "per_second", "delay") if key == "redrive" else ("first",),
            is_destructive=key == "purge",
            has_preset=key == "redrive",
        )
        for key, action in ACTIONS.items()
    }

    def is_secret(self, name: str, value: str) -> bool:
        """Tell whether it is a part of an error."""
        return name == "error"

    def read_filter(self, request: HttpRequest) -> DeadLetterFilter:
        """Return the filter of the address or the form, never without a part: the action would change more."""
        parameters = request.POST if request.method == "POST" else request.GET
        if parameters.get("error"):
            require_permission(request, VIEW_ARGUMENTS)
        return read_dead_letter_filter(request)

    def parse_filter(self, query: Mapping[str, str]) -> DeadLetterFilter:
        """Return the filter that ``to_query`` wrote."""
        return DeadLetterFilter.from_query(query)

    def as_argument(self, wanted: DeadLetterFilter) -> dict[str, Any]:
        """Return the filter as the argument of a bulk job."""
        return {self.argument: wanted.as_json()}

    def count(self, action: BulkAction, wanted: DeadLetterFilter) -> Matches:
        """Count the open ones."""
        wanted = wanted.frozen(database_now())
        counted = count_open_dead_letters(wanted)
        chosen = replace(wanted, up_to_id=counted.up_to_id)
        return Matches(number=counted.number, is_more=counted.is_more, chosen=chosen, by_queue=counted.by_queue)

    def sample(self, action: BulkAction, wanted: DeadLetterFilter, number: int) -> tuple[DeadLetterFilter, int]:
        """Return a filter that names the newest, and how many they are."""
        ids = newest_dead_letter_ids(wanted, number)
        return DeadLetterFilter(ids=tuple(ids)), len(ids)

    def sampled_jobs(self, argument: Mapping[str, Any]) -> QuerySet[Job] | None:
        """Return the jobs of a sample's dead letters."""
        ids = argument.get("ids")
        return Job.objects.filter(dead_letters__in=ids[:MAX_SAMPLE_SIZE]) if ids else None

    def without_bound(self, wanted: DeadLetterFilter) -> DeadLetterFilter:
        """Return the filter with later ones."""
        return replace(wanted, up_to_id=None)

    def is_bounded(self, wanted: DeadLetterFilter) -> bool:
        """Tell whether later ones are left out."""
        return wanted.up_to_id is not None

    def headline(self, matches: Matches, number: str) -> str:
        """Return how many match."""
        text = ngettext("%(number)s open dead letter matches.", "%(number)s open dead letters match.", matches.number)
        return text % {"number": number}

    def notes(self, wanted: DeadLetterFilter, matches: Matches) -> list[str]:
        """Say if all are meant, and if later ones are left out."""
        if self.is_bounded(wanted):
            return [gettext("Dead letters that came after the sample was chosen are left out.")]
        return [gettext("There is no filter: these are all open dead letters.")] if wanted.is_empty else []

    def nothing_text(self) -> str:
        """Return what to say if nothing matches any more."""
        return gettext("No open dead letter matches any more.")


SUBJECT = DeadLetterSubject()


def bulk_action_links(
    model_admin: PageAdmin[DeadLetter], request: HttpRequest, wanted: DeadLetterFilter
) -> list[tuple[str, Any]]:
    """Return (address, label) of the bulk actions that the user may apply to all that match.

    None if the list has other rows than they would change: those found by a text, or those of another status.
    """
    if request.GET.get("q", "").strip() or requested_status(request) not in {"open", None}:
        return []
    return links(model_admin, request, SUBJECT, wanted)
