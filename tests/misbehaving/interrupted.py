"""Jobs that have a connection open, wait for a file, and use the connection again."""

from __future__ import annotations

from asgiref.sync import sync_to_async

from django_jobs import job
from tests.sampleapp.models import Customer

from .jobs import wait_for_file, wait_for_file_async


@job(max_attempts=1, retry_on=(ValueError,))
def read_twice(path: str) -> int:
    """Read before and after the wait."""
    Customer.objects.count()
    wait_for_file.function(path)
    return Customer.objects.count()


@job(max_attempts=1, atomic=True)
def write_twice(path: str) -> None:
    """Write before and after the wait, in one transaction."""
    Customer.objects.create(name="twice")
    wait_for_file.function(path)
    Customer.objects.create(name="twice")


@job(max_attempts=1)
async def read_twice_async(path: str) -> int:
    """Read before and after the wait, in a thread."""
    await sync_to_async(Customer.objects.count)()
    await wait_for_file_async.function(path)
    return await sync_to_async(Customer.objects.count)()
