"""Chaos for messages: relays, consumers, broker and database break while messages go out and in; then an audit.

Every delivery is doubled once. ``DJANGO_JOBS_TEST_SEEDS=1-5`` chooses seeds; ``--release`` adds the other brokers, and
5,000 messages, with brokers that are killed also where their start takes seconds.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.messages.audit import audit
from tests.chaos.messages.brokers import BROKERS, ChaosBroker
from tests.chaos.messages.day import MessageDay
from tests.chaos.messages.jobs import BROKER
from tests.databases import chosen_vendor

from .conftest import StartWorker

FIRST, _, LAST = os.environ.get("DJANGO_JOBS_TEST_SEEDS", "1").partition("-")
FEW, MANY = 300, 5_000
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]


EVERY_TIME = {"kafka", "rabbitmq"}
"""A log and a queue; the others are broken with ``--release``."""
CASES = [
    pytest.param(
        (number, name),
        id=f"{number}-{name}",
        marks=[pytest.mark.release] if number > FEW or name not in EVERY_TIME else [],
    )
    for name in BROKERS
    for number in (FEW, MANY)
]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Iterator[tuple[int, ChaosBroker]]:
    """How many messages, and a broker that was started for them."""
    number, name = request.param
    broker = BROKERS[name](is_killed=number > FEW)
    yield number, broker
    broker.remove()


@pytest.mark.parametrize("seed", range(int(FIRST), int(LAST or FIRST) + 1))
def test_no_message_is_lost_or_doubled_on_a_bad_day(
    case: tuple[int, ChaosBroker],
    start_worker: StartWorker,
    worker_environment: dict[str, str],
    settings: Any,
    tmp_path: Path,
    seed: int,
) -> None:
    number, broker = case
    settings.DJANGO_JOBS = {"BROKERS": {BROKER: broker.settings}}
    began = time.monotonic()
    events = [f"DJANGO_JOBS_TEST_SEEDS={seed} python3 tests --database {chosen_vendor()} {Path(__file__).name}"]

    def note(event: str) -> None:
        events.append(f"{time.monotonic() - began:6.2f} s  {event}")

    day = MessageDay(start_worker, worker_environment, broker, note, seed=seed, number=number, folder=tmp_path)
    try:
        day.live()
        day.end()
    except AssertionError as error:
        pytest.fail("\n".join([*events, str(error), str(audit(day.facts())), day.said(tmp_path)]))
    facts = day.facts()
    report = "\n".join([*events, *audit(facts)])
    copies = Counter(record.id for record in facts.records)
    print(report)
    print(
        f"{len(facts.committed)} messages, {len(facts.records)} sent, {sum(copies.values()) - len(copies)} of them"
        f" copies, {len(facts.received)} jobs, {dict(day.faults)}, {time.monotonic() - began:.1f} s"
    )
    assert audit(facts) == [], f"{report}\n{day.said(tmp_path)}"
