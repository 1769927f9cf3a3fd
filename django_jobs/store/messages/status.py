"""Read what the admin and ``jobs brokers`` show: messages that wait to be sent, and how far sources are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Count, Exists, OuterRef, Q

from ...conf import get_settings
from ...models import DeadLetter, Job, MessageConsumer, MessageSource, Permit, SourcePartition
from ...policy.limits import LimitKind, PermitPhase
from ...policy.message_queues import queue_of
from ...policy.service_facts import BrokerFacts
from ...policy.states import State
from ..clock import DatabaseNow, database_now
from ..dialects import open_dialect
from ..dialects.shared.by_id import InIds
from .outages import read_outages

MAX_COUNTED = 10_000
MAX_SAMPLE = 300
MAX_FAILURES = 500
MAX_SOURCES = 200
ALIVE_SECONDS = 15.0


class WaitingMessages(NamedTuple):
    """Messages of a queue that are not sent. ``oldest_at``: the enqueue, or the readiness, of the oldest that was read.

    ``is_more``: there are more than were counted. ``sample``: ids of some of them.
    """

    number: int = 0
    is_more: bool = False
    oldest_at: datetime | None = None
    sample: tuple[int, ...] = ()

    def __add__(self, other: object) -> WaitingMessages:
        """Return both together."""
        if not isinstance(other, WaitingMessages):
            return NotImplemented
        times = [at for at in (self.oldest_at, other.oldest_at) if at is not None]
        return WaitingMessages(
            self.number + other.number,
            self.is_more or other.is_more,
            min(times, default=None),
            self.sample + other.sample,
        )


class LastFailure(NamedTuple):
    """The newest dead letter of a queue."""

    error: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """A source, its partitions, and how many consumers read it now."""

    source: MessageSource
    partitions: list[SourcePartition]
    consumers: int

    @property
    def lag(self) -> int | None:
        """Messages ahead at the broker, as consumers last asked; None if nobody knows."""
        lags = [partition.lag for partition in self.partitions if partition.lag is not None]
        return sum(lags) if lags else self.source.backlog

    @property
    def stopped(self) -> dict[str, str]:
        """The reason why reading has stopped, by partition; ``""`` for a queue."""
        stopped = {one.partition: one.stopped_reason for one in self.partitions if one.stopped_reason}
        return stopped | ({"": self.source.stopped_reason} if self.source.stopped_reason else {})


def read_broker_facts(*, using: str | None = None) -> BrokerFacts:
    """Return the brokers that are down, what waits for them, and the sources that are not read.

    No statement without brokers; four if none is down and all sources are read.
    """
    if not get_settings().brokers:
        return BrokerFacts()
    _, connection = open_dialect(using)
    alias = connection.alias
    outages = read_outages(using=alias)
    unread = MessageSource.objects.using(alias).filter(paused_at=None).exclude(error_at=None).order_by("pk")
    failing = list(unread[:MAX_SOURCES])
    now = database_now(using=alias) if outages or failing else None
    waiting = _count_waiting([queue_of(name) for name in outages], alias)
    by_poison = ~Q(stopped_reason="") | Exists(
        SourcePartition.objects.using(alias).filter(source=OuterRef("pk")).exclude(stopped_reason="")
    )
    stopped = MessageSource.objects.using(alias).filter(by_poison).order_by("broker", "name", "group")
    return BrokerFacts(
        down={name: (now - outage.since).total_seconds() for name, outage in outages.items() if now is not None},
        waiting=waiting.number,
        is_more=waiting.is_more,
        unread={
            str(source): (now - source.error_at).total_seconds()
            for source in failing
            if now is not None and source.error_at is not None
        },
        stopped_sources=list(map(str, stopped[:MAX_SOURCES])),
        held_by_dead={name: len(turns) for name, turns in read_held_by_dead(using=alias).items()},
    )


def _count_waiting(queue_names: Collection[str], alias: str) -> WaitingMessages:
    """Return how many messages of these queues are not sent. No statement without queues, else three."""
    if not queue_names:
        return WaitingMessages()
    found = sum(read_held_back(queue_names, using=alias).values(), WaitingMessages())
    ready = Job.objects.using(alias).filter(state=State.READY, queue_name__in=queue_names).order_by()
    number = ready.values("pk")[: MAX_COUNTED + 1].count()
    return found + WaitingMessages(min(number, MAX_COUNTED), number > MAX_COUNTED)


def read_held_back(queue_names: Collection[str], *, using: str | None = None) -> dict[str, WaitingMessages]:
    """Return the messages of each queue that are not ready: behind their key, or waiting for the next attempt.

    Two statements, each of which reads 10,000 jobs of all queues at most.
    """
    _, connection = open_dialect(using)
    found = dict.fromkeys(queue_names, WaitingMessages())
    for state, order in {State.SCHEDULED: ("run_after", "pk"), State.BLOCKED: ("pk",)}.items():
        read = Job.objects.using(connection.alias).filter(state=state).order_by(*order)
        rows = list(read.values_list("queue_name", "enqueued_at", "pk")[: MAX_COUNTED + 1])
        for name in queue_names:
            own = [(enqueued_at, pk) for queue_name, enqueued_at, pk in rows if queue_name == name]
            oldest_at = min((enqueued_at for enqueued_at, _ in own), default=None)
            sample = tuple(pk for _, pk in own[:MAX_SAMPLE])
            found[name] += WaitingMessages(len(own), bool(own) and len(rows) > MAX_COUNTED, oldest_at, sample)
    return found


def sample_ready(queue_name: str, *, using: str | None = None) -> tuple[int, ...]:
    """Return the ids of some ready jobs of a queue. One statement."""
    _, connection = open_dialect(using)
    ready = Job.objects.using(connection.alias).filter(state=State.READY, queue_name=queue_name).order_by()
    return tuple(ready.values_list("pk", flat=True)[:MAX_SAMPLE])


def count_destinations(job_ids: Collection[int], *, using: str | None = None) -> Counter[str]:
    """Return how many of these messages go to which destination. One statement."""
    _, connection = open_dialect(using)
    jobs = Job.objects.using(connection.alias).filter(InIds("pk", job_ids))
    found: Counter[str] = Counter()
    for arguments in jobs.values_list("arguments", flat=True):
        argument = arguments.get("argument") if isinstance(arguments, dict) else None
        if isinstance(argument, dict):
            found[str(argument.get("destination"))] += 1
    return found


def read_last_failures(queue_names: Collection[str], *, using: str | None = None) -> dict[str, LastFailure]:
    """Return the newest dead letter of each queue, among the 500 newest that are open. One statement."""
    _, connection = open_dialect(using)
    newest = DeadLetter.objects.using(connection.alias).filter(status=DeadLetter.Status.OPEN).order_by("-pk")
    found: dict[str, LastFailure] = {}
    for name, error, died_at in newest.values_list("queue_name", "error_message", "died_at")[:MAX_FAILURES]:
        if name in queue_names:
            found.setdefault(name, LastFailure(error, died_at))
    return found


def read_held_by_dead(*, using: str | None = None) -> dict[str, dict[int, int]]:
    """Return, by broker, the dead messages that hold back later ones of their keys, and how many each holds back.

    Of the 500 newest open dead letters; up to 10,000 messages are counted. No statement unless a broker has
    ``"on_dead_message": "hold_key"``, else three at most.
    """
    holding = {queue_of(name): name for name, one in get_settings().brokers.items() if one.holds_key_of_dead}
    if not holding:
        return {}
    _, connection = open_dialect(using)
    opened = DeadLetter.objects.using(connection.alias).filter(status=DeadLetter.Status.OPEN, job__isnull=False)
    dead = dict(opened.order_by("-pk").values_list("job_id", "queue_name")[:MAX_FAILURES])
    ids = [job_id for job_id, queue_name in dead.items() if queue_name in holding]
    permits = Permit.objects.using(connection.alias).filter(run=0).order_by()
    held = permits.filter(InIds("job_id", ids), kind=LimitKind.ORDER, phase=PermitPhase.HELD)
    turns = dict(held.values_list("limit_id", "job_id")) if ids else {}
    if not turns:
        return {}
    behind = permits.filter(InIds("limit_id", turns, index=None), phase=PermitPhase.WAITING)
    counts = Counter(behind.values_list("limit_id", flat=True)[:MAX_COUNTED])
    found: dict[str, dict[int, int]] = {}
    for limit_id, job_id in sorted(turns.items(), key=lambda turn: turn[1]):
        if counts[limit_id]:
            found.setdefault(holding[dead[job_id]], {})[job_id] = counts[limit_id]
    return found


def read_source_states(*, source_ids: Collection[int] | None = None, using: str | None = None) -> list[SourceState]:
    """Return the sources that have been read, sorted. Three statements."""
    _, connection = open_dialect(using)
    alias = connection.alias
    sources = MessageSource.objects.using(alias).order_by("broker", "name", "group")
    if source_ids is not None:
        sources = sources.filter(pk__in=source_ids)
    rows = list(sources[:MAX_SOURCES])
    ids = [row.pk for row in rows]
    partitions: dict[int, list[SourcePartition]] = {pk: [] for pk in ids}
    for partition in SourcePartition.objects.using(alias).filter(source__in=ids).order_by("partition"):
        partitions[partition.source_id].append(partition)
    alive = Q(heartbeat_at__gte=DatabaseNow(_ago(ALIVE_SECONDS)))
    counts = MessageConsumer.objects.using(alias).filter(alive, source__in=ids).order_by()
    consumers = dict(counts.values_list("source").annotate(number=Count("pk")))
    return [SourceState(source=row, partitions=partitions[row.pk], consumers=consumers.get(row.pk, 0)) for row in rows]


def _ago(seconds: float) -> timedelta:
    return timedelta(seconds=-seconds)
