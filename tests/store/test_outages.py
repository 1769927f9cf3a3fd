"""Workers that find a broker down, and up again, at the same time."""

from __future__ import annotations

import pytest

from django_jobs.models import BrokerOutage, Queue
from django_jobs.store.messages.outages import end_outage, record_outage
from tests.concurrency import run_together

pytestmark = pytest.mark.django_db(transaction=True)

TIMES = 40


def test_no_worker_fails_because_another_records_or_ends_the_outage_at_the_same_time() -> None:
    """On MariaDB and MySQL two that insert the row which a third has just deleted are a deadlock."""

    def find_down() -> None:
        for _ in range(TIMES):
            record_outage("events", "connection refused")

    def find_up() -> None:
        for _ in range(TIMES):
            end_outage("events")

    run_together(find_down, find_down, find_down, find_up, find_up)
    end_outage("events")
    assert not BrokerOutage.objects.exists()
    assert Queue.objects.get(pk="messages.events").suspended_until is None
