"""How long the admin's pages take with few rows and with very many, and how many queries each makes.

The server's time of a request, by Django's client, without a browser or a network.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_jobs.models import Attempt, DeadLetter, Job

from ..history import fill
from .place import Figures, Place

REQUESTS = 15
"""For each page; the fastest counts, because what disturbs only ever adds. Two more come before."""


def engine(place: Place) -> Figures:
    """Time every page with few rows, then with many, in the same run."""
    few, _ = _measured(place, place.sizes.few_jobs)
    many, queries = _measured(place, place.sizes.page_jobs)
    figures: Figures = {}
    for page, seconds in many.items():
        figures[f"{page}_ms"] = seconds * 1000
        figures[f"{page}_few"] = few[page] * 1000
        figures[f"{page}_ratio"] = seconds / few[page]
    worst = max(many[page] / few[page] for page in many)
    busiest = max(queries, key=lambda page: queries[page])
    print(f"most queries: {busiest}, {queries[busiest]}", file=sys.stderr)
    return {"worst_ratio": worst, "few_to_many": 1 / worst, "most_queries": max(queries.values()), **figures}


def _measured(place: Place, jobs: int) -> tuple[dict[str, float], dict[str, int]]:
    place.empty_engine()
    fill(place.server, jobs)
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    seconds: dict[str, float] = {}
    queries: dict[str, int] = {}
    for page, address in _addresses():
        with CaptureQueriesContext(connection) as captured:
            _get(client, address)
        queries[page] = len(captured)
        _get(client, address)
        seconds[page] = min(_get(client, address) for _ in range(REQUESTS))
    return seconds, queries


def _get(client: Client, address: str) -> float:
    began = time.perf_counter()
    response = client.get(address)
    seconds = time.perf_counter() - began
    if response.status_code != 200:
        raise RuntimeError(f"{address}: expected the page (200), got {response.status_code}")
    return seconds


def _addresses() -> Iterator[tuple[str, str]]:
    job = reverse("admin:django_jobs_job_changelist")
    letter = reverse("admin:django_jobs_deadletter_changelist")
    dashboard = reverse("admin:django_jobs_dashboard")
    for period in ("1h", "24h", "7d"):
        yield f"dashboard {period}", f"{dashboard}?period={period}"
    yield "jobs", job
    for state in ("running", "ready", "scheduled", "succeeded", "dead"):
        yield f"jobs {state}", f"{job}?state={state}"
    yield "jobs of a queue", f"{job}?queue=other"
    yield "jobs by argument", f"{job}?argument=x%3D7"
    yield "jobs by error", f"{job}?error=answer"
    yield "jobs by name", f"{job}?q=noop"
    yield "a job", reverse("admin:django_jobs_job_change", args=[_newest(Job.objects.filter(state="dead"))])
    waiting = Job.objects.filter(state="ready").order_by("-pk").values_list("pk", flat=True)[0]
    yield "a waiting job", reverse("admin:django_jobs_job_change", args=[waiting])
    yield "groups", reverse("admin:django_jobs_deadlettergroups")
    yield "letters", letter
    group = DeadLetter.objects.order_by("-pk").values_list("fingerprint", flat=True)[0]
    yield "letters of a group", f"{letter}?fingerprint={group}"
    yield "a letter", reverse("admin:django_jobs_deadletter_change", args=[_newest(DeadLetter.objects.all())])
    yield "attempts", reverse("admin:django_jobs_attempt_changelist")
    yield "an attempt", reverse("admin:django_jobs_attempt_change", args=[_newest(Attempt.objects.all())])
    for model in ("queue", "worker", "cronschedule", "tick"):
        yield f"{model}s", reverse(f"admin:django_jobs_{model}_changelist")


def _newest(rows: object) -> int:
    return int(rows.order_by("-pk").values_list("pk", flat=True)[0])  # type: ignore[attr-defined]
