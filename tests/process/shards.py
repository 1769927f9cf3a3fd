"""Jobs in several databases, for tests of real workers that serve them."""

from __future__ import annotations

from typing import Any

from django_jobs.models import Job, Worker
from tests.sampleapp.jobs import count_visit_here
from tests.sampleapp.models import Customer

SETTINGS = {"WORKER": {"HEARTBEAT_INTERVAL": 0.5, "STALE_AFTER": 5}}


def settings_of(*aliases: str) -> dict[str, Any]:
    return {"DATABASES": list(aliases), **SETTINGS}


def empty(*aliases: str) -> None:
    """Delete what other tests have left in databases that are not the test's own."""
    for alias in aliases:
        Job.objects.using(alias).all()._raw_delete(alias)
        Worker.objects.using(alias).all().delete()


def enqueue_visits(number: int, *aliases: str) -> dict[str, Customer]:
    """Enqueue so many jobs in each database that count in a row of their own there."""
    customers = {alias: Customer.objects.using(alias).create(name="Ada") for alias in aliases}
    for alias, customer in customers.items():
        count_visit_here.using(database=alias).enqueue_many([(customer.pk,)] * number)
    return customers


def visits(customers: dict[str, Customer], *aliases: str) -> list[int]:
    """Return how often the jobs have counted in the rows of these databases, or of all."""
    chosen = aliases or tuple(customers)
    for alias in chosen:
        customers[alias].refresh_from_db(using=alias)
    return [customers[alias].visits for alias in chosen]


def unfinished(*aliases: str) -> int:
    """Return how many jobs have not succeeded."""
    return sum(Job.objects.using(alias).exclude(state="succeeded").count() for alias in aliases)
