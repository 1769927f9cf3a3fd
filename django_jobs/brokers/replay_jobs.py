"""The built-in jobs of a replay in the admin: one counts the messages of a range, the other enqueues their jobs again.

The ranges are fixed by the count, so a replay ends although messages arrive, and enqueues what was counted. Each batch
is committed together with the position of the next: a replay that was killed resumes there and doubles nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from django.utils.dateparse import parse_datetime

from ..bulk_steps import BulkSteps
from ..context import MAX_PROGRESS_MESSAGE_LENGTH, current_job
from ..definition import job
from ..exceptions import ConfigurationError, Snooze
from ..policy.metadata import DONE
from ..policy.truncate import truncate
from .interface import BrokerDownError, LogSource, ReceivedMessage, Subscription
from .replaying import ReplayRange, count_fitting, enqueue_replayed, find_ranges, open_log, read_ranges
from .subscriptions import Consumption, find_consumption

COUNT_MESSAGES, REPLAY_MESSAGES = "django_jobs.count_messages", "django_jobs.replay_messages"
BROKER_DOWN_PAUSE = timedelta(seconds=15)
ROOM_PAUSE = timedelta(seconds=5)


@job(name=COUNT_MESSAGES)
def count_messages(source: dict[str, str], wanted: dict[str, str]) -> dict[str, Any]:
    """Count the messages of a range, and enqueue nothing.

    ``wanted``: texts by the names of ReplayRange. Returns ``jobs`` and ``poison``, the numbers of messages that can
    become jobs and of others, and ``ranges``, by partition where they begin and end; or ``problem``, why the source
    cannot be replayed.
    """
    context = current_job()
    try:
        consumption = _consumption_of(source)
        with _opened(consumption) as log:
            ranges = find_ranges(consumption, log, _read_range(wanted))
            jobs = number = 0
            for messages in read_ranges(log, ranges):
                context.raise_if_cancelled()
                jobs += count_fitting(consumption, messages)
                number += len(messages)
                context.set_progress(number)
    except ConfigurationError as error:
        return {"problem": str(error)}
    return {"jobs": jobs, "poison": number - jobs, "ranges": ranges}


@job(name=REPLAY_MESSAGES, discard_on=ConfigurationError)
def replay_messages(
    source: dict[str, str], ranges: dict[str, Sequence[str]], total: int | None = None
) -> dict[str, int]:
    """Enqueue the jobs of these ranges again; return ``done``, how many, and ``poison``, how many messages cannot.

    It pauses while more of the source's jobs wait than ``max_waiting`` allows.
    """
    steps, consumption = BulkSteps(total), _consumption_of(source)
    place = _Place.read(steps.position)
    with _opened(consumption) as log:
        for messages in read_ranges(log, place.rest_of(ranges)):
            _wait_for_room(consumption)
            place = place.after(messages)
            steps.take_step(partial(enqueue_replayed, consumption, messages), next_position=place.as_text())
    return {"done": steps.done, "poison": place.number - steps.done}


class _Place:
    """How far a replay is: the partition that is read, the position in it, and how many messages were read."""

    def __init__(self, partition: str | None, position: str, number: int) -> None:
        self._partition, self._position, self.number = partition, position, number

    @classmethod
    def read(cls, text: object) -> _Place:
        """Return the place that a step has saved; the start if there is none."""
        return cls(*json.loads(text)) if isinstance(text, str) else cls(None, "", 0)

    def as_text(self) -> str:
        """Return the text to save."""
        return json.dumps([self._partition, self._position, self.number])

    def rest_of(self, ranges: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """Return the ranges that are not read yet; partitions are read in the order of their names."""
        names = sorted(ranges)
        if self._partition is None:
            return {name: ranges[name] for name in names}
        left = names[names.index(self._partition) :]
        return {name: ranges[name] for name in left} | {self._partition: (self._position, ranges[self._partition][1])}

    def after(self, messages: Sequence[ReceivedMessage]) -> _Place:
        """Return the place behind messages of one partition."""
        last = messages[-1]
        return _Place(last.partition, last.next_position, self.number + len(messages))


def _consumption_of(source: Mapping[str, str]) -> Consumption:
    found = find_consumption(source["broker"], source["name"], source["group"])
    if found is None:
        label = Subscription(broker=source["broker"], name=source["name"], group=source["group"]).label
        raise ConfigurationError(f"{label}: no job of this code has @consumes(...) for it, so nothing can be replayed")
    return found


def _read_range(wanted: Mapping[str, str]) -> ReplayRange:
    instants = {name: parse_datetime(wanted[name]) for name in ("since", "until") if wanted.get(name)}
    texts = {name: wanted.get(name) or None for name in ("partition", "start", "end")}
    return ReplayRange(**instants, **texts)  # type: ignore[arg-type]  # names of its fields


@contextmanager
def _opened(consumption: Consumption) -> Iterator[LogSource]:
    """Open the log; a broker that does not answer is tried again later, and no attempt is used up."""
    context = current_job()
    try:
        with open_log(consumption) as log:
            yield log
    except BrokerDownError as error:
        text = truncate(f"the broker does not answer: {error}", MAX_PROGRESS_MESSAGE_LENGTH)
        context.set_progress(int(context.metadata.get(DONE, 0)), message=text)
        raise Snooze(BROKER_DOWN_PAUSE) from None


def _wait_for_room(consumption: Consumption) -> None:
    """Snooze while too many jobs of this function wait."""
    from ..store.messages.sources import count_waiting

    maximum = consumption.source.max_waiting
    if count_waiting(consumption.definition.name, limit=maximum) >= maximum:
        raise Snooze(ROOM_PAUSE)
