"""Sources and their consumers: register, count what came, record errors, pause and resume."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.db.models import F

from ...models import Job, MessageConsumer, MessageSource, SourcePartition
from ...models.base import MAX_ACTOR_LENGTH
from ...policy.states import WAITING_STATES
from ..clock import DatabaseNow, database_now
from ..dialects import open_dialect
from ..transactions import read_latest


def ensure_source(broker: str, name: str, group: str, *, job_name: str = "", using: str | None = None) -> MessageSource:
    """Return the row of a source, inserted if there is none; ``job_name`` is kept up to date."""
    _, connection = open_dialect(using)
    sources = MessageSource.objects.using(connection.alias)
    same = sources.filter(broker=broker, name=name, group=group)
    while (found := read_latest(same)) is None:
        new = MessageSource(broker=broker, name=name, group=group, job_name=job_name)
        new.created_at = database_now(using=connection.alias)
        sources.bulk_create([new], ignore_conflicts=True)
    if job_name and found.job_name != job_name:
        sources.filter(pk=found.pk).update(job_name=job_name)
    return found


def read_source(source_id: int, *, using: str | None = None) -> MessageSource | None:
    """Return the row of a source as it is now, or None. One statement."""
    _, connection = open_dialect(using)
    return MessageSource.objects.using(connection.alias).filter(pk=source_id).first()


def heartbeat(consumer: MessageConsumer, *, using: str | None = None) -> None:
    """Save that a consumer is alive; insert it if it has no row."""
    _, connection = open_dialect(using)
    rows = MessageConsumer.objects.using(connection.alias)
    if not rows.filter(pk=consumer.pk).update(heartbeat_at=DatabaseNow()):
        consumer.started_at = consumer.heartbeat_at = database_now(using=connection.alias)
        rows.bulk_create([consumer], ignore_conflicts=True)


def count_consumers(source_id: int, *, alive_seconds: float, using: str | None = None) -> int:
    """Delete consumers of a source that are long dead, and return how many are alive. Two statements."""
    _, connection = open_dialect(using)
    rows = MessageConsumer.objects.using(connection.alias).filter(source=source_id)
    rows.filter(heartbeat_at__lt=DatabaseNow(timedelta(seconds=-10 * alive_seconds))).delete()
    return rows.filter(heartbeat_at__gte=DatabaseNow(timedelta(seconds=-alive_seconds))).count()


def remove_consumer(consumer_id: UUID, *, using: str | None = None) -> None:
    """Delete a consumer that has stopped."""
    _, connection = open_dialect(using)
    MessageConsumer.objects.using(connection.alias).filter(pk=consumer_id).delete()


def add_counts(source_id: int, *, received: int, duplicates: int, poison: int, using: str | None = None) -> None:
    """Add to the counts of a source. One statement, apart from the batches: all consumers write this row."""
    _, connection = open_dialect(using)
    MessageSource.objects.using(connection.alias).filter(pk=source_id).update(
        received=F("received") + received,
        duplicates=F("duplicates") + duplicates,
        poison=F("poison") + poison,
        last_received_at=DatabaseNow(),
    )


def save_backlog(source_id: int, backlog: int | None, *, using: str | None = None) -> None:
    """Save how many messages wait at the broker, for the admin."""
    _, connection = open_dialect(using)
    MessageSource.objects.using(connection.alias).filter(pk=source_id).update(backlog=backlog)


def record_error(source_id: int, error: str, *, using: str | None = None) -> None:
    """Save the last error of a source, and since when it has one; an empty text: it works again."""
    _, connection = open_dialect(using)
    row = MessageSource.objects.using(connection.alias).filter(pk=source_id)
    if not error:
        row.update(error="", error_at=None)
    elif not row.exclude(error_at=None).update(error=error):
        row.update(error=error, error_at=DatabaseNow())


def stop_source(source_id: int, reason: str, *, using: str | None = None) -> None:
    """Stop reading a source until staff resume it: ``on_poison="stop"`` on a queue."""
    _, connection = open_dialect(using)
    MessageSource.objects.using(connection.alias).filter(pk=source_id).update(stopped_reason=reason)


def count_waiting(job_name: str, *, limit: int, using: str | None = None) -> int:
    """Return how many jobs of a name wait, up to ``limit``. One statement, which reads waiting jobs of all names."""
    _, connection = open_dialect(using)
    waiting = Job.objects.using(connection.alias).filter(name=job_name, state__in=WAITING_STATES).order_by()
    return waiting.values("pk")[:limit].count()


def pause_source(source_id: int, *, by: str = "", using: str | None = None) -> bool:
    """Have consumers stop reading a source; tell whether it was not paused already."""
    _, connection = open_dialect(using)
    rows = MessageSource.objects.using(connection.alias).filter(pk=source_id, paused_at=None)
    return bool(rows.update(paused_at=DatabaseNow(), paused_by=by[:MAX_ACTOR_LENGTH]))


def resume_source(source_id: int, *, using: str | None = None) -> bool:
    """Have consumers read a source again, also partitions that poison has stopped; tell whether anything changed."""
    dialect, connection = open_dialect(using)
    with dialect.write_transaction(connection):
        stopped = SourcePartition.objects.using(connection.alias).filter(source=source_id).exclude(stopped_reason="")
        changed = stopped.update(stopped_reason="")
        row = MessageSource.objects.using(connection.alias).filter(pk=source_id)
        changed += row.exclude(paused_at=None, stopped_reason="").update(
            paused_at=None, paused_by="", stopped_reason=""
        )
    return bool(changed)
