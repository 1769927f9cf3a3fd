"""How long the admin's pages take with few rows and with very many, and how many statements each takes.

A request by Django's client, without a browser or a network. The pages are those of the tests,
of each list and of a row of each model, and beside them lists filtered, searched and sorted, the newest rows, and what
asks before a bulk action, and answers of the search of everything.

A busy machine makes every page slower, but not every one by as much; so the ratio is that of the CPU that client and
server take, where the server's can be told, and the milliseconds are those of the clock. A search that finds little
reads on for a set time, however many rows there are: its time is given beside that, and has no ratio.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model, QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_jobs.admin.dead_letters.bulk_actions import SUBJECT as LETTERS
from django_jobs.admin.dead_letters.groups import STATUSES
from django_jobs.admin.finder.sections import SEARCH_SECONDS
from django_jobs.admin.jobs.bulk_actions import SUBJECT as JOBS
from django_jobs.admin.site.paging import PAGE_SECONDS
from django_jobs.models import Attempt, DeadLetter, Job
from tests.admin.every_page import make_rows, page_addresses

from ..history import TYPE_NAME, fill, register_types
from ..queue_names import OTHER_QUEUE
from ..spent import Spent
from .place import Figures, Place

REQUESTS = 5
"""For each page; the fastest counts, because what disturbs only ever adds. Two more come before."""
SEARCHES: Mapping[str, float] = {
    "jobs by argument": PAGE_SECONDS,
    "jobs by error": PAGE_SECONDS,
    "jobs of a type": PAGE_SECONDS,
    "jobs of no type": PAGE_SECONDS,
    "letters by name": PAGE_SECONDS,
    "letters by no name": PAGE_SECONDS,
    "find an argument": SEARCH_SECONDS,
}
"""Pages whose search ends after so many seconds, with what it has found by then."""


class Taken(NamedTuple):
    """What a page took: seconds by the clock, seconds of CPU of client and server, statements."""

    seconds: float
    cpu: float
    statements: int


def engine(place: Place) -> Figures:
    """Take every page with few rows, then with many, in the same run."""
    register_types()
    few = _measured(place, place.sizes.few_jobs)
    many = _measured(place, place.sizes.page_jobs)
    ratios = {page: many[page].cpu / few[page].cpu for page in many if page not in SEARCHES}
    figures: Figures = {}
    for page, taken in many.items():
        figures[f"{page}_ms"] = taken.seconds * 1000
        figures[f"{page}_few"] = few[page].seconds * 1000
        figures[f"{page}_ratio"] = ratios.get(page)
        figures[f"{page}_bound"] = SEARCHES[page] * 1000 if page in SEARCHES else None
    worst = max(ratios.values())
    busiest = max(many, key=lambda page: many[page].statements)
    print(f"most statements: {busiest}, {many[busiest].statements}", file=sys.stderr)
    return {
        "worst_ratio": worst,
        "few_to_many": 1 / worst,
        "slowest_search": max(many[page].seconds / seconds for page, seconds in SEARCHES.items()),
        "most_queries": max(taken.statements for taken in many.values()),
        **figures,
    }


def _measured(place: Place, jobs: int) -> dict[str, Taken]:
    place.empty_engine()
    rows = make_rows()
    began = time.perf_counter()
    fill(place.server, jobs)
    print(f"{jobs:,} jobs filled in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return {page: _taken(place, client, address) for page, address in _addresses(rows)}


def _taken(place: Place, client: Client, address: str) -> Taken:
    with CaptureQueriesContext(connection) as captured:
        _get(client, address)
    statements = len(captured)
    _get(client, address)
    seconds, cpu = [], []
    for _ in range(REQUESTS):
        with Spent(place.server) as spent:
            _get(client, address)
        seconds.append(spent.seconds)
        cpu.append(spent.seconds if spent.server_cpu is None else spent.client_cpu + spent.server_cpu)
    return Taken(min(seconds), min(cpu), statements)


def _get(client: Client, address: str) -> None:
    response = client.get(address)
    if response.status_code != 200:
        raise RuntimeError(f"{address}: expected the page (200), got {response.status_code}")


def _addresses(rows: list[Model]) -> Iterator[tuple[str, str]]:
    """Yield a title and the address of each page; the first of those that have the same title only."""
    seen: set[str] = set()
    for address in page_addresses(rows):
        title = re.sub(r"/[0-9a-f-]{32,36}(?=/)|/\d+(?=/)", "/N", address.removeprefix(reverse("admin:index")))
        title = title.removeprefix("django_jobs/").rstrip("/")
        if title not in seen:
            seen.add(title)
            yield title, address
    dashboard = reverse("admin:app_list", args=["django_jobs"])
    for period in ("1h", "24h", "7d"):
        yield f"dashboard {period}", f"{dashboard}?period={period}"
    yield "dashboard now", reverse("admin:django_jobs_dashboard_now")
    yield from _of_types()
    yield from _of_the_finder()
    yield from _of_jobs()
    yield from _of_letters()
    yield "the newest attempt", reverse("admin:django_jobs_attempt_change", args=[_newest(Attempt.objects.all())])


def _of_types() -> Iterator[tuple[str, str]]:
    types, one = reverse("admin:django_jobs_job_types"), reverse("admin:django_jobs_job_type")
    for period in ("1h", "24h", "7d"):
        yield f"types {period}", f"{types}?period={period}"
        yield f"type {period}", f"{one}?{urlencode({'name': TYPE_NAME.format(7), 'period': period})}"
    yield "types by name, second page", f"{types}?sort=name&p=2"
    yield "enqueue one", f"{reverse('admin:django_jobs_job_type_enqueue')}?{urlencode({'name': TYPE_NAME.format(7)})}"


def _of_the_finder() -> Iterator[tuple[str, str]]:
    results = reverse("admin:django_jobs_find_results")
    searches = {
        "find pages": "",
        "find a job": str(_newest(Job.objects.all())),
        "find a type": TYPE_NAME.format(7),
        "find a word": "send",
        "find nothing": "nothing",
        "find an argument": "x=7",
    }
    for title, text in searches.items():
        yield title, f"{results}?{urlencode({'q': text})}"


def _of_jobs() -> Iterator[tuple[str, str]]:
    every = reverse("admin:django_jobs_job_changelist")
    filters = {
        **{f"jobs {state}": {"state": state} for state in ("running", "ready", "scheduled", "succeeded", "dead")},
        "jobs of a queue": {"queue": OTHER_QUEUE},
        "jobs by argument": {"argument": "x=7"},
        "jobs by error": {"error": "answer"},
        "jobs of a type": {"q": TYPE_NAME.format(7)},
        "jobs of no type": {"q": "shop.jobs.nothing"},
    }
    for title, query in filters.items():
        yield title, f"{every}?{urlencode(query)}"
    for state in ("dead", "ready"):
        newest = _newest(Job.objects.filter(state=state))
        yield f"the newest {state} job", reverse("admin:django_jobs_job_change", args=[newest])
    for key in JOBS.actions:
        yield f"before {key} of jobs", f"{reverse('admin:django_jobs_job_bulk_start', args=[key])}?state=dead"


def _of_letters() -> Iterator[tuple[str, str]]:
    every = reverse("admin:django_jobs_deadletter_changelist")
    newest = DeadLetter.objects.order_by("-pk").values_list("pk", "fingerprint")
    for title, group in (("a large group", _large_group()), ("a group", newest[0][1])):
        yield title, reverse("admin:django_jobs_deadlettergroup", args=[group])
        yield f"evidence of {title}", reverse("admin:django_jobs_deadlettergroup_evidence", args=[group])
        yield f"letters of {title}", f"{every}?{urlencode({'fingerprint': group})}"
    yield "letters by name", f"{every}?{urlencode({'q': TYPE_NAME.format(7)})}"
    yield "letters by no name", f"{every}?{urlencode({'q': 'nothing'})}"
    for status in STATUSES:
        yield f"groups {status}", f"{reverse('admin:django_jobs_deadlettergroups')}?status={status}"
    yield (
        "groups of a type",
        f"{reverse('admin:django_jobs_deadlettergroups')}?{urlencode({'job_name': TYPE_NAME.format(7)})}",
    )
    yield "the newest letter", reverse("admin:django_jobs_deadletter_change", args=[newest[0][0]])
    for key in LETTERS.actions:
        yield f"before {key} of letters", reverse("admin:django_jobs_deadletter_bulk_start", args=[key])


def _large_group() -> str:
    """Return the fingerprint of one of the groups that hold half of the letters."""
    return str(DeadLetter.objects.filter(fingerprint__startswith="1").values_list("fingerprint", flat=True)[0])


def _newest(rows: QuerySet[Model]) -> int:
    return int(rows.order_by("-pk").values_list("pk", flat=True)[0])
