"""Brokers that are down, as the relays of all workers have found them, and the suspension of their queues.

No job of a suspended queue is claimed, so waiting messages cost nothing. After the pause one is claimed, as a test, by
any worker; if it is sent the suspension ends, otherwise the next pause begins.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from ...models import BrokerOutage
from ...policy.message_queues import queue_of
from ...policy.outage_pauses import pause_until_test
from ..clock import DatabaseNow, database_now
from ..dialects import open_dialect
from ..queues import end_suspension, suspend
from ..transactions import retry_on_conflict


class RecordedOutage(NamedTuple):
    """An outage that was saved: ``is_new`` at its first failure, ``pause_seconds`` until the next test."""

    is_new: bool
    pause_seconds: float


def record_outage(broker: str, error: str, *, using: str | None = None) -> RecordedOutage:
    """Save that a broker did not answer just now; it is down since the first such time. Its queue is suspended."""
    _, connection = open_dialect(using)
    return retry_on_conflict(partial(_record, broker, error, connection.alias), using=connection.alias)


def _record(broker: str, error: str, alias: str) -> RecordedOutage:
    dialect, connection = open_dialect(alias)
    rows = BrokerOutage.objects.using(connection.alias)
    with dialect.write_transaction(connection):
        is_new = not rows.filter(pk=broker).update(checked_at=DatabaseNow(), error=error)
        now = database_now(using=connection.alias)
        if is_new:
            new = BrokerOutage(broker=broker, since=now, checked_at=now, error=error)
            rows.bulk_create([new], ignore_conflicts=True)
        since = now if is_new else rows.filter(pk=broker).values_list("since", flat=True).first() or now
        pause = pause_until_test((now - since).total_seconds())
        suspend(queue_of(broker), pause, using=connection.alias)
    return RecordedOutage(is_new, pause)


def end_outage(broker: str, *, using: str | None = None) -> bool:
    """Save that a broker has answered; tell whether it was down. Two statements, which change nothing if it was not."""
    _, connection = open_dialect(using)
    alias = connection.alias
    retry_on_conflict(partial(end_suspension, queue_of(broker), using=alias), using=alias)
    return bool(retry_on_conflict(BrokerOutage.objects.using(alias).filter(pk=broker).delete, using=alias)[0])


def read_outages(*, using: str | None = None) -> dict[str, BrokerOutage]:
    """Return the brokers that are down, by name. One statement."""
    _, connection = open_dialect(using)
    return {outage.broker: outage for outage in BrokerOutage.objects.using(connection.alias).order_by("broker")}
