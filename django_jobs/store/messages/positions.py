"""How far the partitions of a log are read, and which consumer reads them.

::

    claim_partitions ── owner, for some seconds ──> read from next_position ──> move_position (guarded) ──> ...

Ownership only shares the work: two consumers may both believe that they own a partition. ``move_position`` is the
guard: the batch's transaction commits only if nobody has moved the position since the batch was read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from django.db.models import Q

from ...models import SourcePartition
from ..clock import DatabaseNow
from ..dialects import open_dialect


def ensure_partitions(source_id: int, starts: Mapping[str, str], *, using: str | None = None) -> None:
    """Insert rows for partitions without one, with the position where each begins. One statement."""
    _, connection = open_dialect(using)
    rows = [
        SourcePartition(source_id=source_id, partition=partition, next_position=position)
        for partition, position in sorted(starts.items())
    ]
    if rows:
        SourcePartition.objects.using(connection.alias).bulk_create(rows, ignore_conflicts=True)


def read_partitions(source_id: int, *, using: str | None = None) -> list[SourcePartition]:
    """Return the rows of a source by partition. One statement."""
    _, connection = open_dialect(using)
    return list(SourcePartition.objects.using(connection.alias).filter(source=source_id).order_by("partition"))


def free_partitions(source_id: int, *, using: str | None = None) -> list[str]:
    """Return the partitions that no living consumer owns and that are not stopped. One statement."""
    _, connection = open_dialect(using)
    rows = SourcePartition.objects.using(connection.alias).filter(_is_free(), source=source_id, stopped_reason="")
    return list(rows.order_by("partition").values_list("partition", flat=True))


def claim_partitions(
    source_id: int, owner: UUID, *, take: Collection[str], seconds: float, using: str | None = None
) -> dict[str, str]:
    """Renew the partitions that ``owner`` has, take free ones of ``take``, and return all with their positions.

    Partitions that were stopped are released. Three statements, each guarded; two without ``take``.
    """
    _, connection = open_dialect(using)
    rows = SourcePartition.objects.using(connection.alias).filter(source=source_id, stopped_reason="")
    until = DatabaseNow(timedelta(seconds=seconds))
    rows.filter(owner=owner).update(owned_until=until)
    if take:
        rows.filter(_is_free(), partition__in=list(take)).update(owner=owner, owned_until=until)
    return dict(rows.filter(owner=owner).order_by("partition").values_list("partition", "next_position"))


def release_partitions(
    source_id: int, owner: UUID, partitions: Collection[str] | None = None, *, using: str | None = None
) -> None:
    """Let other consumers have these partitions of ``owner`` at once; None: all. One statement."""
    _, connection = open_dialect(using)
    rows = SourcePartition.objects.using(connection.alias).filter(source=source_id, owner=owner)
    if partitions is not None:
        rows = rows.filter(partition__in=list(partitions))
    rows.update(owner=None, owned_until=None)


def move_position(
    source_id: int, partition: str, *, read_from: str, next_position: str, using: str | None = None
) -> bool:
    """Move a partition on in the caller's transaction, if it still is where the batch was read from; tell whether.

    The row stays locked until the commit: another consumer with the same batch waits, and then moves nothing.
    """
    _, connection = open_dialect(using)
    rows = SourcePartition.objects.using(connection.alias)
    unmoved = rows.filter(source=source_id, partition=partition, next_position=read_from, stopped_reason="")
    return bool(unmoved.update(next_position=next_position, moved_at=DatabaseNow()))


def save_lags(source_id: int, lags: Mapping[str, int | None], *, using: str | None = None) -> None:
    """Save how many messages each partition has ahead, for the admin. A statement a partition."""
    _, connection = open_dialect(using)
    for partition, lag in sorted(lags.items()):
        SourcePartition.objects.using(connection.alias).filter(source=source_id, partition=partition).update(lag=lag)


def stop_partition(source_id: int, partition: str, reason: str, *, stands_at: str, using: str | None = None) -> bool:
    """Stop reading a partition until staff resume it, if it still is at that position: ``on_poison="stop"``.

    Tell whether it was, and was not stopped already. One statement.
    """
    _, connection = open_dialect(using)
    rows = SourcePartition.objects.using(connection.alias)
    unmoved = rows.filter(source=source_id, partition=partition, next_position=stands_at, stopped_reason="")
    return bool(unmoved.update(stopped_reason=reason, owner=None, owned_until=None))


def _is_free() -> Q:
    return Q(owner=None) | Q(owned_until=None) | Q(owned_until__lt=DatabaseNow())
