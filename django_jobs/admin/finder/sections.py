"""Find rows of every kind that the user may open, each with its page, for the search of everything."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ... import registry
from ...conf import get_settings
from ...conf.database import current_database, use_database
from ...models import Job, Worker
from ...models.labels import BATCH_STATE_LABELS
from ...policy.error_text import class_name
from ...policy.filter_values import FilterError
from ...policy.job_filter import JobFilter
from ...policy.name_search import best_matches
from ...policy.short_arguments import short_arguments
from ...redaction import redact_arguments
from ...store.each_database import read_each
from ...store.search.everywhere import (
    MAX_READ,
    Found,
    find_batches,
    find_errors,
    find_job_by_id,
    find_limits,
    find_schedules,
    find_workers,
)
from ...store.search.jobs import find_jobs
from ...store.search.page_arguments import read_page_arguments
from ...store.search.search_time import SearchTime
from ...store.stats.counts import known_queues
from ..site.databases import find_named_job, row_text
from ..site.labels import filter_error_text, state_label
from ..site.links import list_url, may_open, page_url
from ..site.menu import first_page_url
from ..site.named_addresses import name_database
from ..site.permissions import APP, VIEW_ARGUMENTS, has_permission

MAX_SHOWN = 5
"""Rows of a kind."""
SEARCH_SECONDS = 0.7
"""How long jobs are searched by an argument; the list of jobs goes on."""
MAX_STEPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A page to go to."""

    text: str
    url: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Items of one kind, and what has to be said about the search for them."""

    title: Any
    items: list[Item]
    message: str = ""


def find_everything(request: HttpRequest, site: AdminSite, query: str) -> list[Section]:
    """Return what matches, by kind, without empty kinds; for an empty query the pages.

    Text with ``=`` is an argument of jobs; anything else may be the name of everything.
    """
    finder = _Finder(request, site, query)
    kinds = (finder.arguments, finder.pages) if "=" in query else finder.kinds() if query else (finder.all_pages,)
    return [section for section in (find() for find in kinds) if section.items or section.message]


class _Finder:
    """One search, for one user on one site."""

    def __init__(self, request: HttpRequest, site: AdminSite, query: str) -> None:
        self.request, self.site, self.query = request, site, query

    def kinds(self) -> tuple[Any, ...]:
        """Return the functions that find rows by name, the likeliest first."""
        return (
            self.jobs, self.pages, self.types, self.queues, self.errors, self.schedules, self.workers, self.batches,
            self.limits, self.further,
        )  # fmt: skip

    def jobs(self) -> Section:
        """Return the job that an id stands for: its own, or that of another way, such as of a Task's result.

        A number is looked for in each of the databases, that of the page first; ``eu:4711`` in the one that it names.
        """
        title = _("Jobs")
        if not self._may("job"):
            return Section(title=title, items=[])
        aliases = get_settings().aliases
        named = find_named_job(self.query)
        job_id = named.number if named else JobFilter(q=self.query).job_id
        if job_id is None:
            return Section(title=title, items=[])
        only = named.database if named else None
        here, found = current_database(), {}
        if only in (None, here):
            found[here] = find_job_by_id(job_id)
        others = [alias for alias in aliases if alias != here and only in (None, alias)]
        found |= read_each(partial(find_job_by_id, job_id), others) if others else {}
        items = [self._found_job(alias, row) for alias in (here, *others) if (row := found.get(alias))]
        silent = ", ".join(alias for alias in others if alias not in found)
        message = gettext("Without an answer: %(names)s") % {"names": silent} if silent else ""
        return Section(title=title, items=items, message=message)

    def _found_job(self, alias: str, found: Found) -> Item:
        url = page_url(self.request, self.site, "job", found.pk)
        with use_database(alias):
            text = f"{row_text(found.pk)} {found.name}"
        is_named = get_settings().has_many_databases
        return Item(text=text, note=state_label(found.note), url=name_database(url, alias) if is_named else url)

    def arguments(self) -> Section:
        """Return jobs with an argument of this value, as far as they are found in time, and the list of all."""
        title = _("Jobs with this argument")
        if not self._may("job") or not has_permission(self.request, VIEW_ARGUMENTS):
            return Section(title=title, items=[])
        try:
            wanted = JobFilter.from_query({"argument": self.query}, zone=UTC)
        except FilterError as error:
            return Section(title=title, items=[], message=filter_error_text(error))
        within = SearchTime(clock=time.monotonic, seconds=SEARCH_SECONDS, max_steps=MAX_STEPS)
        rows = find_jobs(wanted, limit=MAX_SHOWN, within=within).rows
        stored = read_page_arguments([job.pk for job in rows], using=current_database()) if rows else {}
        items = [self._job_item(job, stored.get(job.pk)) for job in rows]
        return Section(title=title, items=[*items, self._list_item({"argument": self.query})])

    def pages(self) -> Section:
        """Return this app's pages by name."""
        pages = self.all_pages().items
        return Section(
            title=_("Go to"), items=best_matches(((page.text, page) for page in pages), self.query, limit=MAX_SHOWN)
        )

    def all_pages(self) -> Section:
        """Return this app's pages that the user may open."""
        apps = self.site.get_app_list(self.request, APP)
        entries = [model for app in apps for model in app["models"] if model["admin_url"]]
        return Section(
            title=_("Go to"), items=[Item(text=str(one["name"]), url=first_page_url(one)) for one in entries]
        )

    def types(self) -> Section:
        """Return jobs by the name of their function, as far as this process knows them."""
        names = sorted(registry.names()) if self._may("job") else []
        found = best_matches(((name, name) for name in names), self.query, limit=MAX_SHOWN)
        items = [
            Item(text=name, url=list_url(self.request, self.site, "job", urlencode({"name": name}))) for name in found
        ]
        return Section(title=_("Job types"), items=items)

    def queues(self) -> Section:
        """Return queues, with those in which jobs wait before a worker has seen them."""
        names = known_queues(limit=MAX_READ) if self._may("queue") else []
        found = best_matches(((name, Found(pk=name, name=name)) for name in names), self.query, limit=MAX_SHOWN)
        return self._rows(_("Queues"), "queue", found)

    def errors(self) -> Section:
        """Return errors of dead letters."""
        with_messages = has_permission(self.request, VIEW_ARGUMENTS)
        rows = find_errors(self.query, limit=MAX_SHOWN, with_messages=with_messages) if self._may("deadletter") else []
        url = _reverse(self.site, "deadlettergroup")
        items = [Item(text=class_name(row.name), note=row.note, url=url(row.pk)) for row in rows]
        return Section(title=_("Dead letters by error"), items=[item for item in items if item.url])

    def schedules(self) -> Section:
        """Return schedules."""
        rows = find_schedules(self.query, limit=MAX_SHOWN) if self._may("cronschedule") else []
        return self._rows(_("Schedules"), "cronschedule", rows)

    def workers(self) -> Section:
        """Return workers."""
        rows = find_workers(self.query, limit=MAX_SHOWN) if self._may("worker") else []
        states = dict(Worker.State.choices)
        return self._rows(_("Workers"), "worker", rows, notes={row.note: states.get(row.note, "") for row in rows})

    def batches(self) -> Section:
        """Return batches."""
        rows = find_batches(self.query, limit=MAX_SHOWN) if self._may("batch") else []
        return self._rows(_("Batches"), "batch", rows, notes=BATCH_STATE_LABELS)

    def limits(self) -> Section:
        """Return names of limits, each with the list of its keys."""
        rows = find_limits(self.query, limit=MAX_SHOWN) if self._may("limit") else []
        items = [
            Item(text=row.name, url=list_url(self.request, self.site, "limit", urlencode({"name": row.name})))
            for row in rows
        ]
        return Section(title=_("Limits"), items=items)

    def further(self) -> Section:
        """Return the list of jobs with the text as its search."""
        return Section(title=_("Further"), items=[self._list_item({"q": self.query})] if self._may("job") else [])

    def _may(self, model: str) -> bool:
        return may_open(self.request, self.site, model)

    def _rows(self, title: Any, model: str, rows: list[Found], *, notes: Mapping[Any, Any] | None = None) -> Section:
        items = [
            Item(
                text=row.name,
                note=str(notes.get(row.note, row.note)) if notes else row.note,
                url=page_url(self.request, self.site, model, quote(row.pk)),
            )
            for row in rows
        ]
        return Section(title=title, items=items)

    def _job_item(self, job: Job, stored: Any) -> Item:
        arguments = short_arguments(redact_arguments(job.name, stored)) if isinstance(stored, dict) else ""
        url = page_url(self.request, self.site, "job", job.pk)
        return Item(text=f"{row_text(job.pk)} {job.name}", note=f"{state_label(job.state)} {arguments}", url=url)

    def _list_item(self, query: dict[str, str]) -> Item:
        text = gettext("Search the list of jobs for “%s”") % self.query
        return Item(text=text, url=list_url(self.request, self.site, "job", urlencode(query)))


def _reverse(site: AdminSite, name: str) -> Any:
    def url(key: Any) -> str:
        try:
            return reverse(f"{site.name}:{APP}_{name}", args=[key])
        except NoReverseMatch:
            return ""

    return url
