"""How fast messages go out and come in, by each broker that the tests can start.

Out: a worker sends what was published, beside the same driver with one message a flush. In: a consumer takes 500 at a
time, beside ``enqueue_many`` of 500. Both take turns, so that they meet the same machine. The figures of a broker are
called ``NAME``, ``NAME_plain``, ``NAME_ratio``, and ``NAME_us`` and ``NAME_us_plain`` for this process's CPU.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from uuid import uuid4

import pytest
from django.db.models import Max, Min
from django.test import override_settings

from django_jobs.brokers import NewMessage, publish_many
from django_jobs.brokers.connecting import driver_of, find_settings
from django_jobs.brokers.consumer import SourceConsumer
from django_jobs.brokers.interface import Driver, OutgoingMessage, Sent
from django_jobs.brokers.subscriptions import ConsumedSource, Consumption, Subscription
from django_jobs.models import Attempt, Job
from django_jobs.policy.message_queues import queue_of
from django_jobs.store.queues import pause, resume
from tests.brokers.contract import HARNESSES, Harness
from tests.brokers.rabbitmq_queues import rabbitmq_quorum

from ..jobs import noop
from ..names import BROKERS
from ..settings import BROKER, BROKER_VARIABLE
from ..worker import WorkerProcess
from .place import Figures, Place

BATCH = 500
TURNS = 2
SINGLES = 200
"""So many messages tell how fast one message a flush is."""
FEWER = {"sqs": 10, "sqs-fifo": 10}
"""Brokers whose test server is slow by itself get so many times fewer messages."""
SLOW_ON_PURPOSE = ("batch.num.messages",)
"""Options of a harness that make batches of one message, so that a test can read the server's high watermark."""
OF_TESTS = "remembered-"
"""Begins the scheme of a driver that only the process of the tests knows."""
MAX_SECONDS = 120.0
POLL_SECONDS = 0.01


def engine_publish(place: Place) -> Figures:
    """Relay messages by a worker, and send some one by one with a flush each."""
    return _of_each(place, None, _relay)


def engine_consume_log(place: Place) -> Figures:
    """Consume logs, whose position moves in the transaction."""
    return _of_each(place, "log", _consume)


def engine_consume_queue(place: Place) -> Figures:
    """Consume queues, whose messages' ids go into the inbox."""
    return _of_each(place, "queue", _consume)


@dataclass(slots=True)
class Spending:
    """The seconds and CPU seconds that some work took."""

    number: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    @contextmanager
    def adding(self, number: int) -> Iterator[None]:
        began, cpu = time.monotonic(), time.process_time()
        yield
        self.number += number
        self.seconds += time.monotonic() - began
        self.cpu += time.process_time() - cpu

    @property
    def rate(self) -> float:
        return self.number / self.seconds


Measure = Callable[[Place, Harness, Driver], tuple[Spending, Spending]]


def _of_each(place: Place, kind: Literal["log", "queue"] | None, measure: Measure) -> Figures:
    """Return the figures of each broker of a kind; a server that is not here is told on the error stream."""
    figures: Figures = {}
    harnesses = {**HARNESSES, "rabbitmq-quorum": rabbitmq_quorum}
    for name, start in harnesses.items():
        if name not in (place.brokers or BROKERS):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                with start(Path(folder)) as harness:
                    if kind in (None, harness.kind):
                        sizes = replace(place.sizes, messages=place.sizes.messages // FEWER.get(name, 1))
                        figures |= _figures(name, *_in_settings(replace(place, sizes=sizes), harness, measure))
            except pytest.skip.Exception as skipped:
                print(f"  {name}: skipped, {skipped}", file=sys.stderr, flush=True)
    return figures


def _in_settings(place: Place, harness: Harness, measure: Measure) -> tuple[Spending, Spending]:
    options = {key: value for key, value in harness.settings.get("options", {}).items() if key not in SLOW_ON_PURPOSE}
    broker = {**harness.settings, "url": harness.settings["url"].removeprefix(OF_TESTS), "options": options}
    os.environ[BROKER_VARIABLE] = json.dumps(broker)  # for the workers that are started
    with override_settings(DJANGO_JOBS={"BROKERS": {BROKER: broker}}):
        place.empty_engine()
        return measure(place, harness, driver_of(find_settings(BROKER)))


def _figures(name: str, work: Spending, plain: Spending) -> Figures:
    return {
        name: work.rate,
        f"{name}_plain": plain.rate,
        f"{name}_ratio": work.rate / plain.rate,
        f"{name}_us": 1e6 * work.cpu / work.number if work.cpu else None,
        f"{name}_us_plain": 1e6 * plain.cpu / plain.number,
    }


def _relay(place: Place, harness: Harness, driver: Driver) -> tuple[Spending, Spending]:
    relayed, single = Spending(), Spending()
    queue, topic = queue_of(BROKER), harness.new_topic()
    messages = [NewMessage({"x": x}) for x in range(place.sizes.messages // TURNS)]
    sender = driver.open_sender()
    _send(sender.send, topic, 1, at_once=1)
    with WorkerProcess(queue) as worker:
        publish_many(BROKER, topic, messages[:BATCH])
        _wait_until_sent(worker)
        for _ in range(TURNS):
            pause(queue)
            publish_many(BROKER, topic, messages)
            first = Job.objects.filter(state="ready").aggregate(first=Min("pk"))["first"]
            place.server.min_age("django_jobs_job")
            resume(queue)
            _wait_until_sent(worker)
            span = Attempt.objects.filter(job_id__gte=first).aggregate(
                began=Min("started_at"), ended=Max("finished_at")
            )
            relayed.number += len(messages)
            relayed.seconds += (span["ended"] - span["began"]).total_seconds()
            with single.adding(SINGLES // TURNS):
                _send(sender.send, topic, SINGLES // TURNS, at_once=1)
    sender.close()
    return relayed, single


def _wait_until_sent(worker: WorkerProcess) -> None:
    until = time.monotonic() + MAX_SECONDS
    while Job.objects.exclude(state="succeeded").exists():
        worker.check()
        if time.monotonic() > until:
            raise RuntimeError(f"{Job.objects.exclude(state='succeeded').count()} messages were not sent")
        time.sleep(POLL_SECONDS)


def _consume(place: Place, harness: Harness, driver: Driver) -> tuple[Spending, Spending]:
    consumed, plain = Spending(), Spending()
    number = max(place.sizes.messages // TURNS // BATCH, 1) * BATCH
    arguments = [{"x": x} for x in range(BATCH)]
    for turn in range(TURNS + 1):  # the first opens connections and files
        works = (consumed, plain) if turn else (Spending(), Spending())
        topic = harness.new_topic()
        sender = driver.open_sender()
        _send(sender.send, topic, number, at_once=BATCH)
        sender.close()
        _take_all(_consumption(harness, topic), number, works[0])
        with works[1].adding(number):
            for _ in range(number // BATCH):
                noop.enqueue_many(arguments)
        place.empty_engine()
    return consumed, plain


def _take_all(consumption: Consumption, number: int, spending: Spending) -> None:
    """Connect, and count from there until each message is a job."""
    consumer = SourceConsumer(consumption)
    reader = consumer.connect()
    reader.sync()
    jobs = 0
    until = time.monotonic() + MAX_SECONDS
    with spending.adding(number):
        while jobs < number:
            taken = reader.read()
            jobs += taken.jobs if taken else 0
            if time.monotonic() > until:
                raise RuntimeError(f"{jobs} of {number} messages came from {consumption.label}")
    consumer.close()


def _consumption(harness: Harness, topic: str) -> Consumption:
    subscription = Subscription(broker=BROKER, name=topic, group=harness.group)
    source = ConsumedSource(subscription=subscription, on_poison="dead_letter", max_waiting=10**9, decode=None)
    return Consumption(source=source, definition=noop)


def _send(
    send: Callable[[Sequence[OutgoingMessage]], Sequence[object]], topic: str, number: int, *, at_once: int
) -> None:
    template = OutgoingMessage(
        destination=topic,
        body=b"",
        attributes={"source": "/benchmark", "type": topic, "time": "2026-01-01T00:00:00Z", "specversion": "1.0"},
    )
    for start in range(0, number, at_once):
        batch = [
            replace(template, body=b'{"x": %d}' % x, attributes={**template.attributes, "id": uuid4().hex})
            for x in range(start, min(start + at_once, number))
        ]
        outcomes = send(batch)
        if refused := [outcome for outcome in outcomes if outcome != Sent()]:
            raise RuntimeError(f"{len(refused)} of {len(batch)} messages were not sent: {refused[0]}")
