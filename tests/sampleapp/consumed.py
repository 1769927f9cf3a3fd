"""What messages become in tests; the jobs' rows show which came, in which order, and how they ended."""

from __future__ import annotations

from django_jobs import job
from django_jobs.limits import Ordering


@job(max_attempts=1, ordering_key=Ordering(key="customer"))
def ship(order_id: int, customer: str | None = None) -> int:
    """Return the order's id; with ``customer`` the orders of each run one after another."""
    return order_id
