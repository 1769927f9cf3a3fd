"""Find the jobs that a filter matches, by pages in bounded time, however large the table.

A filter that an index serves finds its jobs anywhere in the table:

=============  =====================================================  ==========================================
filter         read by                                                order
=============  =====================================================  ==========================================
ids, schedule  the key; of a schedule the jobs of its newest ticks     newest first
batch          the index of batches' jobs                              newest first
running        the index of running jobs                               newest first
ready          the index of ready jobs                                 queue, priority, the newest of each first
scheduled      the index of scheduled jobs                             earliest due first
dead           the index of dead letters by status                     latest death first
an argument    PostgreSQL's optional index of arguments                newest first
a name         the optional index of names                             newest first
others         a bounded range of ids                                  newest first
=============  =====================================================  ==========================================

Other conditions are checked on a bounded number of entries of that index; ``is_truncated`` says so. With a time
(``within``) the search goes on, step by step, until the page is full or the time is used up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

from django.db.models import Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Lower

from ...models import Attempt, BatchJob, DeadLetter, Job, Tick
from ...policy.filter_values import FilterError
from ...policy.job_filter import JobFilter
from ...policy.states import State
from ..clock import database_now
from ..dialects import open_dialect
from .arguments import filter_by_argument, prefilter_by_object, references_object
from .id_checkpoints import id_after, id_before
from .keyset_pages import PAGE_SIZE, SCAN_LIMIT, KeysetPage, decode_cursor, keyset_page, read_keyset_page
from .newest_first import newest_first
from .optional_indexes import has_argument_index, has_name_index
from .search_time import SearchTime, search_on

__all__ = ["FilterError", "JobFilter", "find_jobs", "find_jobs_of_object", "in_state", "iter_pages"]

MAX_TICKS = 1_000
"""Ticks of a schedule that are searched, newest first."""
MAX_INDEXED = 10_000
"""If more jobs match an argument, ranges of ids are searched instead: they are not rare."""
LOOKUP_COST = 10
"""Factor by which fewer entries are scanned if the job of each is read by its key."""
MAX_LOOKUPS = 20_000
"""Jobs read by key in one statement."""

NEWEST_FIRST = ("-id",)
_ORDERS = {
    State.RUNNING: NEWEST_FIRST,
    State.READY: ("-queue_name", "-priority", "-ready_at", "-id"),
    State.SCHEDULED: ("run_after", "id"),
}
_DEAD = (DeadLetter.Status.OPEN, DeadLetter.Status.RESOLVED)
"""Statuses of dead letters whose jobs may still be dead."""


def find_jobs(
    wanted: JobFilter,
    *,
    after: str = "",
    limit: int = PAGE_SIZE,
    scan: int = SCAN_LIMIT,
    within: SearchTime | None = None,
    only: tuple[str, ...] = (),
    using: str | None = None,
) -> KeysetPage[Job]:
    """Return up to ``limit`` of the jobs that match, behind the cursor ``after``.

    One step of at most six statements, or with ``within`` as many steps as that allows, until the page is full.
    Their arguments, metadata and results are deferred; with ``only`` all other fields but the state and those of the
    order. Raises FilterError if ``after`` is not a cursor of this filter.
    """
    return _Search(wanted, limit=limit, scan=scan, only=only, using=using).page(after, within)


def iter_pages(
    wanted: JobFilter, *, limit: int = 1_000, scan: int = SCAN_LIMIT, using: str | None = None
) -> Iterator[KeysetPage[Job]]:
    """Yield all pages; a filter with a duration counts from now."""
    wanted = wanted.frozen(database_now(using=using))
    page = find_jobs(wanted, limit=limit, scan=scan, using=using)
    yield page
    while page.next_cursor is not None:
        page = find_jobs(wanted, after=page.next_cursor, limit=limit, scan=scan, using=using)
        yield page


def find_jobs_of_object(
    target: Model,
    *,
    argument: str | None = None,
    after: str = "",
    limit: int = PAGE_SIZE,
    scan: int = SCAN_LIMIT,
    within: SearchTime | None = None,
    using: str | None = None,
) -> KeysetPage[Job]:
    """Return jobs whose arguments refer to a row at any depth, or have its key as the argument of the given name.

    Newest first, by bounded ranges of ids.
    """
    _, connection = open_dialect(using)
    jobs = prefilter_by_object(Job.objects.using(connection.alias), target, argument=argument)

    def read(after: str, limit: int, scan: int) -> KeysetPage[Job]:
        page = newest_first(jobs, after=after, limit=limit, scan=scan)
        rows = [job for job in page.rows if references_object(job.arguments, target, argument=argument)]
        return replace(page, rows=rows)

    page = search_on(read, after=after, limit=limit, scan=scan, within=within)
    return page if within is None else _with_time(page, connection.alias)


def in_state(jobs: QuerySet[Job], state: State) -> QuerySet[Job]:
    """Return the jobs in a state, written as a literal: with a parameter SQLite does not use that state's index."""
    return jobs.filter(state=RawSQL(f"'{state.value}'", ()))  # noqa: S611 - one of seven constants


def _defer_large(jobs: QuerySet[Job]) -> QuerySet[Job]:
    """Defer large columns."""
    return jobs.defer("arguments", "metadata", "result_data")


def _with_time(page: KeysetPage[Job], alias: str) -> KeysetPage[Job]:
    """Return the page with the time to which a search by ranges of ids has looked back. One statement if it is cut."""
    if not (page.is_truncated and page.lowest):
        return page
    oldest = Job.objects.using(alias).filter(pk__gte=page.lowest).order_by("pk")
    return replace(page, back_to=oldest.values_list("enqueued_at", flat=True).first())


class _Search:
    """One search for the jobs of a filter."""

    def __init__(
        self, wanted: JobFilter, *, limit: int, scan: int, using: str | None, only: tuple[str, ...] = ()
    ) -> None:
        _, connection = open_dialect(using)
        self.alias = connection.alias
        if isinstance(wanted.since, timedelta):
            wanted = wanted.frozen(database_now(using=self.alias))
        self.wanted, self.limit, self.scan = wanted, limit, scan
        self.jobs: QuerySet[Job] = _defer_large(Job.objects.using(self.alias))
        if only:
            order = _ORDERS.get(wanted.state, NEWEST_FIRST) if wanted.state else NEWEST_FIRST
            self.jobs = Job.objects.using(self.alias).only("state", *only, *(key.removeprefix("-") for key in order))
        self.dead_letters = DeadLetter.objects.using(self.alias)

    def page(self, after: str, within: SearchTime | None) -> KeysetPage[Job]:
        """Return the page, read by the index that serves the filter best."""
        read = self._reader()

        def step(after: str, limit: int, scan: int) -> KeysetPage[Job]:
            self.limit, self.scan = limit, scan
            return read(after)

        page = search_on(step, after=after, limit=self.limit, scan=self.scan, within=within)
        return page if within is None else _with_time(page, self.alias)

    def _reader(self) -> Callable[[str], KeysetPage[Job]]:
        """Return what reads the step behind a cursor."""
        ids = self._ids()
        if ids is not None:
            named = self._narrow(self.jobs.filter(pk__in=ids))
            return lambda after: self._by_index(named, NEWEST_FIRST, after, is_narrow=False)
        if self.wanted.batch is not None:
            return self._in_batch
        state = self.wanted.state
        if state in _ORDERS:
            return partial(self._in_state, state)
        if state is State.DEAD:
            return self._dead
        if self.wanted.wanted_arguments and has_argument_index(self.jobs):
            return lambda after: self._by_arguments(after) or self._in_window(after)
        if self.wanted.name and has_name_index(self.jobs):
            return self._by_name
        return self._in_window

    def _ids(self) -> set[int] | None:
        """Return the ids in the filter, None if it has none."""
        wanted = self.wanted
        named = [set(wanted.ids)] if wanted.ids else []
        if wanted.job_id is not None:
            named.append({wanted.job_id})
        if wanted.schedule is not None:
            ticks = Tick.objects.using(self.alias).filter(schedule=wanted.schedule).order_by("-due_at")
            newest = ticks.values_list("job_id", flat=True)[:MAX_TICKS]
            named.append(set(newest) - {None})
        found = set.intersection(*named) if named else None
        if found is None or wanted.batch is None:
            return found
        members = self._members(wanted.batch).filter(job__in=found)
        return set(members.values_list("job_id", flat=True))

    def _members(self, batch_id: int) -> QuerySet[BatchJob]:
        return BatchJob.objects.using(self.alias).filter(batch=batch_id)

    def _in_batch(self, after: str) -> KeysetPage[Job]:
        """Return jobs of a batch; other conditions are checked on a bounded number of them, by key."""
        start = decode_cursor(Job, NEWEST_FIRST, after)
        members = self._members(self.wanted.batch or 0)
        members = members if start is None else members.filter(job__lt=start[0])
        max_members = self._max_lookups if self._is_narrow(besides={"batch"}) else self.limit
        ids = list(members.order_by("-job").values_list("job_id", flat=True)[: max_members + 1])
        matching = self._narrow(self.jobs.filter(pk__in=ids[:max_members])).order_by(*NEWEST_FIRST)
        rows = list(matching[: self.limit + 1])
        last_entry = (ids[max_members - 1],) if len(ids) > max_members else None
        if len(rows) > self.limit:
            rows = rows[: self.limit]
            last_entry = (rows[-1].pk,)
        return keyset_page(rows, last_entry, limit=self.limit, scanned=max_members)

    @property
    def _max_lookups(self) -> int:
        """How many entries are scanned if the job of each is read by its key."""
        return max(min(self.scan // LOOKUP_COST, MAX_LOOKUPS), self.limit)

    def _in_state(self, state: State, after: str) -> KeysetPage[Job]:
        jobs = in_state(self.jobs, state)
        keys: tuple[str, ...] = _ORDERS[state]
        if state is State.READY and self.wanted.queue:
            jobs, keys = jobs.filter(queue_name=self.wanted.queue), keys[1:]
        return self._by_index(jobs, keys, after, is_narrow=self._is_narrow(besides={"state"}))

    def _by_index(self, jobs: QuerySet[Job], keys: tuple[str, ...], after: str, *, is_narrow: bool) -> KeysetPage[Job]:
        return read_keyset_page(
            jobs,
            keys,
            narrow=self._narrow if is_narrow else None,
            after=after,
            limit=self.limit,
            scan=self.scan,
        )

    def _dead(self, after: str) -> KeysetPage[Job]:
        """Return dead jobs by their newest dead letter, open and resolved ones in one order.

        Names and queues are columns of dead letters; for other conditions fewer dead letters are scanned and their
        jobs read by key: a join is planned by estimates, and may read all jobs.
        """
        of_jobs = self._is_narrow(besides={"state", "queue", "name"})
        limit = self._max_lookups if of_jobs else self.limit
        is_named = bool(self.wanted.queue or self.wanted.name)
        pages = [
            read_keyset_page(
                self.dead_letters.filter(job__isnull=False).only("job_id", "status"),
                NEWEST_FIRST,
                narrow=self._named_dead_letters if is_named else None,
                after=after,
                limit=limit,
                scan=self.scan,
                within=("status", status),
            )
            for status in _DEAD
        ]
        scanned_to = max((int(page.next_cursor) for page in pages if page.next_cursor), default=0)
        dead_letters = sorted(
            (dead_letter for page in pages for dead_letter in page.rows),
            key=lambda dead_letter: -dead_letter.pk,
        )
        seen = [dead_letter for dead_letter in dead_letters if dead_letter.pk >= scanned_to]
        last_entry = (scanned_to,) if scanned_to else None
        if of_jobs:
            matching = self._matching(seen)
            seen = [dead_letter for dead_letter in seen if dead_letter.job_id in matching]
        if len(seen) > self.limit:
            seen = seen[: self.limit]
            last_entry = (seen[-1].pk,)
        scanned = limit if of_jobs else self.scan
        return keyset_page(self._dead_jobs(seen), last_entry, limit=self.limit, scanned=scanned)

    def _matching(self, dead_letters: list[DeadLetter]) -> set[int]:
        """Return the ids of the dead letters' jobs that match. The text of an error may be in the dead letter only."""
        rows = self._add(self.jobs.filter(pk__in=[row.job_id for row in dead_letters]))
        if self.wanted.error:
            has_error = _error_contains(self.wanted.error)
            matching = self.dead_letters.filter(has_error, pk__in=[row.pk for row in dead_letters])
            rows = rows.alias(failed=self._attempt_subquery(has_error))
            rows = rows.filter(Q(failed__isnull=False) | Q(pk__in=[row.job_id or 0 for row in matching.only("job_id")]))
        return set(rows.values_list("pk", flat=True))

    def _dead_jobs(self, dead_letters: list[DeadLetter]) -> list[Job]:
        """Return the dead letters' jobs that are still dead, each once, by its newest dead letter."""
        resolved = [row.job_id for row in dead_letters if row.status == DeadLetter.Status.RESOLVED]
        died_again = self.dead_letters.filter(job__in=resolved, status=DeadLetter.Status.OPEN)
        again = set(died_again.values_list("job_id", flat=True)) if resolved else set()
        job_ids = [
            row.job_id
            for row in dead_letters
            if row.job_id is not None and (row.status == DeadLetter.Status.OPEN or row.job_id not in again)
        ]
        jobs = {job.pk: job for job in self.jobs.filter(pk__in=job_ids)}
        dead = (jobs[pk] for pk in dict.fromkeys(job_ids) if pk in jobs)
        return [job for job in dead if job.state == State.DEAD]

    def _by_arguments(self, after: str) -> KeysetPage[Job] | None:
        """Return jobs by the index of arguments, or None if so many match that a range of ids finds them."""
        found = self._narrow(self.jobs).order_by().values_list("pk", flat=True)
        ids = list(found[: MAX_INDEXED + 1])
        if len(ids) > MAX_INDEXED:
            return None
        start = decode_cursor(Job, NEWEST_FIRST, after)
        ids = sorted((pk for pk in ids if start is None or pk < start[0]), reverse=True)
        rows = list(self.jobs.filter(pk__in=ids[: self.limit]).order_by(*NEWEST_FIRST))
        last_entry = (ids[self.limit - 1],) if len(ids) > self.limit else None
        return keyset_page(rows, last_entry, limit=self.limit)

    def _by_name(self, after: str) -> KeysetPage[Job]:
        """Return jobs by the optional index of names; other conditions are checked on a bounded number of them."""
        return read_keyset_page(
            self.jobs,
            NEWEST_FIRST,
            narrow=self._narrow if self._is_narrow(besides={"name"}) else None,
            after=after,
            limit=self.limit,
            scan=self.scan,
            within=("name", self.wanted.name),
        )

    def _in_window(self, after: str) -> KeysetPage[Job]:
        wanted = self.wanted
        below = None
        if wanted.until is not None and not after:
            highest = id_after(wanted.until, using=self.alias)
            below = None if highest is None else highest + 1
        rows = self._narrow(self.jobs)
        return newest_first(rows, after=after, below=below, above=self._above, limit=self.limit, scan=self.scan)

    @cached_property
    def _above(self) -> int:
        """An id up to which no job is of the filter's time."""
        since = self.wanted.since
        return id_before(since, using=self.alias) if isinstance(since, datetime) else 0

    def _is_narrow(self, *, besides: set[str]) -> bool:
        served = besides | ({"queue"} if self.wanted.state is State.READY else set())
        return bool(set(self.wanted.to_query()) - served)

    def _narrow(self, jobs: QuerySet[Job]) -> QuerySet[Job]:
        """Add every condition of the filter."""
        rows = self._add(self._named(jobs, "queue_name", "name"))
        if self.wanted.error:
            # A job that was never claimed has no attempt that would have to be looked for.
            rows = rows.filter(claim_number__gt=0)
            rows = rows.alias(failed=self._attempt_subquery(_error_contains(self.wanted.error)))
            rows = rows.filter(failed__isnull=False)
        return rows if self.wanted.state is None else in_state(rows, self.wanted.state)

    def _named_dead_letters(self, dead_letters: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        return self._named(dead_letters, "queue_name", "job_name")

    def _named(self, rows: QuerySet[Any], queue: str, name: str) -> QuerySet[Any]:
        given = {queue: self.wanted.queue, name: self.wanted.name}
        return rows.filter(**{column: text for column, text in given.items() if text})

    def _add(self, rows: QuerySet[Job]) -> QuerySet[Job]:
        """Add the conditions other than queue, name, state and error."""
        wanted = self.wanted
        given = {"enqueued_at__gte": wanted.since, "enqueued_at__lt": wanted.until}
        rows = rows.filter(**{name: instant for name, instant in given.items() if instant})
        if wanted.name_part:
            # Names have a binary collation on MySQL and MariaDB, in which icontains is case-sensitive.
            rows = rows.alias(lower_name=Lower("name")).filter(lower_name__contains=wanted.name_part.lower())
        if wanted.worker is not None:
            rows = rows.alias(worked=self._attempt_subquery(Q(worker=wanted.worker)))
            rows = rows.filter(Q(worker=wanted.worker) | Q(worked__isnull=False))
        for name, value in wanted.wanted_arguments:
            rows = filter_by_argument(rows, name, value)
        return rows

    def _attempt_subquery(self, condition: Q) -> Subquery:
        """Return an attempt of the job that matches, by the index of jobs.

        Not EXISTS: PostgreSQL may answer that by a join that reads all attempts; a subquery with a limit is run per
        row.
        """
        attempts = Attempt.objects.using(self.alias).filter(condition, job=OuterRef("pk"))
        return Subquery(attempts.order_by().values("pk")[:1])


def _error_contains(text: str) -> Q:
    """Return the condition that an error has this text, for attempts and dead letters."""
    return Q(error_class__icontains=text) | Q(error_message__icontains=text)
