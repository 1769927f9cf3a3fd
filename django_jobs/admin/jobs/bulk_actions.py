"""Bulk actions on all jobs that match: the subject of the pages of ``bulk``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ... import builtin_jobs
from ...models import Job
from ...policy.filter_values import FilterError
from ...policy.job_filter import JobFilter
from ...policy.states import APPLICABLE_STATES
from ...store.clock import database_now
from ...store.search.jobs import find_jobs
from ...store.search.search_time import SearchTime
from ..bulk.confirm import bulk_action_links as links
from ..bulk.subject import BulkAction, Matches
from ..site.page_admin import PageAdmin
from ..site.paging import PAGE_SECONDS
from ..site.permissions import CANCEL, MOVE, PURGE, RETRY
from .filters import read_filter

MAX_COUNTED = 1_000
"""Jobs that the page before an action counts: beyond, the number is known when the action has ended."""
MAX_LOOKED_AT = 10_000
"""Jobs among which those to which the action applies are looked for."""
COUNTED_FIELDS = ("name", "queue_name")

ACTIONS = {
    "retry": BulkAction(
        permission=RETRY,
        label=_("Retry"),
        bulk_label=_("Retry all matching"),
        warning=_("Dead jobs become ready again with all their attempts, scheduled ones run now."),
        past=_("retried"),
        job=builtin_jobs.retry_jobs_matching,
        options=("first", "again_at", "per_second", "delay"),
        has_preset=True,
    ),
    "cancel": BulkAction(
        permission=CANCEL,
        label=_("Cancel jobs"),
        bulk_label=_("Cancel all matching"),
        warning=_(
            "Waiting jobs are cancelled, with those that depend on them. Cancellation of running ones is requested."
        ),
        past=_("cancelled, or cancellation requested"),
        job=builtin_jobs.cancel_jobs_matching,
        options=("first",),
        is_destructive=True,
    ),
    "move": BulkAction(
        permission=MOVE,
        label=_("Move"),
        bulk_label=_("Move all matching"),
        warning=_("Waiting jobs go to another queue. Running ones stay where they are."),
        past=_("moved"),
        job=builtin_jobs.move_jobs_matching,
        options=("to", "first"),
    ),
    "set_priority": BulkAction(
        permission=MOVE,
        label=_("Set priority"),
        bulk_label=_("Set priority of all matching"),
        warning=_("Waiting jobs get another priority, in their queues and at the limits that they wait for."),
        past=_("changed"),
        job=builtin_jobs.prioritize_jobs_matching,
        options=("priority", "first"),
    ),
    "purge": BulkAction(
        permission=PURGE,
        label=_("Purge"),
        bulk_label=_("Purge all matching"),
        warning=_("Finished jobs and their attempts are deleted permanently. Jobs whose results others need are kept."),
        past=_("purged"),
        job=builtin_jobs.purge_jobs_matching,
        options=("first",),
        is_destructive=True,
    ),
}


class JobSubject:
    """Jobs that were enqueued before the count, other than those of django_jobs itself."""

    prefix = "job"
    argument = "jobs"
    actions: Mapping[str, BulkAction] = ACTIONS

    def is_secret(self, name: str, value: str) -> bool:
        """Tell whether it is about arguments or errors: ``q`` may be a part of a name."""
        return name in {"argument", "error"} or (name == "q" and "=" in value)

    def read_filter(self, request: HttpRequest) -> JobFilter:
        """Return the filter of the address."""
        return read_filter(request)

    def parse_filter(self, query: Mapping[str, str]) -> JobFilter:
        """Return the filter that ``to_query`` wrote."""
        return JobFilter.from_query(query, zone=UTC)

    def as_argument(self, wanted: JobFilter) -> dict[str, Any]:
        """Return the filter as the argument of a bulk job."""
        return {self.argument: wanted.to_query()}

    def count(self, action: BulkAction, wanted: JobFilter) -> Matches:
        """Count the jobs in a state to which the action applies, up to 1,000, and the others that are found by then."""
        now = database_now()
        until = now if wanted.until is None else min(wanted.until, now)
        chosen = replace(wanted.frozen(now), until=until)
        found = _find_applicable(action, chosen, MAX_COUNTED)
        return Matches(
            number=len(found.jobs),
            is_more=found.is_more,
            left_alone=found.left_alone,
            chosen=chosen,
            by_queue=Counter(job.queue_name for job in found.jobs),
        )

    def sample(self, action: BulkAction, wanted: JobFilter, number: int) -> tuple[JobFilter, int]:
        """Return a filter that names the first that are found, and how many they are."""
        ids = tuple(job.pk for job in _find_applicable(action, wanted, number).jobs)
        return JobFilter(ids=ids), len(ids)

    def sampled_jobs(self, argument: Mapping[str, Any]) -> QuerySet[Job] | None:
        """Return the jobs of a sample: of a filter that has ids and nothing else."""
        return Job.objects.filter(pk__in=self.parse_filter(argument).ids) if set(argument) == {"ids"} else None

    def without_bound(self, wanted: JobFilter) -> JobFilter:
        """Return the filter as it is: the time may be the user's own."""
        return wanted

    def is_bounded(self, wanted: JobFilter) -> bool:
        """Tell whether later ones are left out."""
        return wanted.until is not None

    def headline(self, matches: Matches, number: str) -> str:
        """Return how many the action would change."""
        if matches.is_more:
            text = gettext("At least %(number)s matching jobs. The exact number is known at the end.")
            return text % {"number": number_format(matches.number, force_grouping=True)}
        text = ngettext("%(number)s matching job.", "%(number)s matching jobs.", matches.number)
        return text % {"number": number}

    def notes(self, wanted: JobFilter, matches: Matches) -> list[str]:
        """Say if all are meant, and how many are left alone."""
        notes = [gettext("There is no filter: these are all jobs.")] if wanted.is_empty else []
        if matches.left_alone:
            text = ngettext(
                "%(number)s other job that matches is left alone: its state does not fit, or it is one of django_jobs.",
                "%(number)s other jobs that match are left alone: their states do not fit, or they are those of"
                " django_jobs.",
                matches.left_alone,
            )
            notes.append(text % {"number": number_format(matches.left_alone, force_grouping=True)})
        return notes

    def nothing_text(self) -> str:
        """Return what to say if nothing matches any more."""
        return gettext("No job matches any more to which this applies.")


SUBJECT = JobSubject()


def bulk_action_links(model_admin: PageAdmin[Job], request: HttpRequest) -> list[tuple[str, Any]]:
    """Return (address, label) of the bulk actions that the user may apply to the list's jobs, by their state."""
    try:
        wanted = read_filter(request)
    except FilterError:
        return []
    keys = [key for key in ACTIONS if wanted.state is None or wanted.state in APPLICABLE_STATES[key]]
    return links(model_admin, request, SUBJECT, wanted, keys)


class _Found(NamedTuple):
    """Jobs to which an action applies, how many others were found before them, and whether there may be more."""

    jobs: list[Job]
    left_alone: int
    is_more: bool


def _find_applicable(action: BulkAction, wanted: JobFilter, limit: int) -> _Found:
    """Find up to ``limit`` jobs to which the action applies: among the first 1,000 that match, then the first 10,000.

    With a state in the filter the first 1,000 are enough: either all fit or none. Both together take two seconds at
    the most.
    """
    states = APPLICABLE_STATES[next(key for key, one in ACTIONS.items() if one is action)]
    jobs: list[Job] = []
    looked_at, cursor, until = 0, "", time.monotonic() + PAGE_SECONDS
    for up_to in (MAX_COUNTED, MAX_LOOKED_AT) if wanted.state is None else (MAX_COUNTED,):
        within = SearchTime(clock=time.monotonic, seconds=until - time.monotonic())
        page = find_jobs(wanted, after=cursor, limit=up_to - looked_at, within=within, only=COUNTED_FIELDS)
        jobs += (job for job in page.rows if job.state in states and not builtin_jobs.is_builtin(job.name))
        looked_at += len(page.rows)
        cursor = page.next_cursor or ""
        if not cursor or page.is_truncated or len(jobs) >= limit:
            break
    may_fit = wanted.state is None or wanted.state in states
    return _Found(jobs[:limit], looked_at - len(jobs), may_fit and (bool(cursor) or len(jobs) > limit))
