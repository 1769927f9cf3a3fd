"""A bad day for messages: relays, consumers, their broker and their database break while messages go out and in."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from django.db import transaction

from django_jobs.brokers import NewMessage, publish_many
from django_jobs.models import Job
from django_jobs.policy.states import FINAL_STATES, State
from tests.chaos.connections import cut_all_other_connections
from tests.concurrency import wait_until
from tests.process.running import RunningWorker

from .audit import MessageFacts, Record
from .brokers import ChaosBroker
from .doubling import ONCE, WITNESS
from .jobs import BROKER, GROUP, STREAM, TOPIC
from .records import read_witness

KEYS = 12
ROUNDS = 8
ROUND_SECONDS = (0.0, 0.3)
WORK_SECONDS = 6.0
FROZEN_SECONDS = (0.3, 3.0)
"""Some of the frozen come back in time, others find that their claim or partition was given to others."""
STALE_SECONDS = 1.0
ROLLED_BACK = 0.15
FAULTS = (
    ("kill_relay", 3), ("freeze_relay", 2), ("kill_consumer", 4), ("freeze_consumer", 3), ("cut_database", 3),
    ("strike_broker", 2),
)  # fmt: skip
"""Methods of ``MessageDay`` with their weights."""
MAX_LAST_CONSUMERS = 10
WORKER = {
    "HEARTBEAT_INTERVAL": STALE_SECONDS / 5,
    "STALE_AFTER": STALE_SECONDS,
    "SHUTDOWN_GRACE": 1.0,
    "MAX_WORKER_DEATHS": 1_000,
}


class MessageDay:
    """Begins with two relays and two consumers. A seed's faults are always the same, who is hit when is not."""

    def __init__(
        self,
        start: Callable[..., RunningWorker],
        environment: dict[str, str],
        broker: ChaosBroker,
        note: Callable[[str], None],
        *,
        seed: int,
        number: int,
        folder: Path,
    ) -> None:
        self.faults: Counter[str] = Counter()
        self.committed: set[int] = set()
        self.rolled_back: set[int] = set()
        self._start, self._environment, self._broker, self._note = start, environment, broker, note
        self._dice, self._number = random.Random(seed), number
        self._destination, self._topic = broker.new_topic()
        self._witness = folder / "witness"
        environment |= {"DJANGO_JOBS_TEST_APPS": "tests.chaos.messages", TOPIC: self._topic, GROUP: broker.group}
        environment |= {WITNESS: str(self._witness), STREAM: "1" if broker.is_stream else ""}
        self._all: list[RunningWorker] = []
        self._thaws: list[threading.Timer] = []
        self.relays = [self._relay() for _ in range(2)]
        self.consumers = [self._consumer() for _ in range(2)]

    def live(self) -> None:
        """Publish in rounds; in each something breaks."""
        rounds = max(ROUNDS, self._number // 200)
        names, weights = zip(*FAULTS, strict=True)
        first = [*self._dice.sample(names, len(names)), *self._dice.choices(names, weights, k=rounds)][:rounds]
        for at, fault in enumerate(first):
            self._publish(range(at * self._number // rounds, (at + 1) * self._number // rounds))
            self._wait_for_work()
            threading.Event().wait(self._dice.uniform(*ROUND_SECONDS))
            self.faults[fault] += 1
            getattr(self, fault)()

    def end(self) -> None:
        """Let all be sent and received, and end every process."""
        for thaw in self._thaws:
            thaw.join()
        wait_until(self._is_sent, "all messages to be sent", seconds=60 + self._number / 20)
        self._stop(self.relays)
        wait_until(self._is_received, "all messages to be received", seconds=60 + self._number / 20)
        self._stop(self.consumers)
        self._environment[ONCE] = "1"
        for _ in range(MAX_LAST_CONSUMERS):
            if not self._broker.left(self._topic):
                break
            last = self._consumer()
            wait_until(lambda: not self._broker.left(self._topic), "the queue to be empty")
            self._stop([last])

    def facts(self) -> MessageFacts:
        sending = Job.objects.filter(queue_name=f"messages.{BROKER}").exclude(state=State.SUCCEEDED)
        return MessageFacts(
            kind=self._broker.kind,
            committed=frozenset(self.committed),
            rolled_back=frozenset(self.rolled_back),
            records=self._records(),
            received=self._received(),
            left=self._broker.left(self._topic),
            unsent=Counter(sending.values_list("state", flat=True)),
            processes=[one.process.pid for one in self._all if _is_alive(one.process.pid)],
        )

    def kill_relay(self) -> None:
        self._kill(self.relays, self._relay)

    def kill_consumer(self) -> None:
        self._kill(self.consumers, self._consumer)

    def freeze_relay(self) -> None:
        self._freeze(self._dice.choice(self.relays))

    def freeze_consumer(self) -> None:
        self._freeze(self._dice.choice(self.consumers))

    def cut_database(self) -> None:
        self._note(f"{cut_all_other_connections()} connections to the database are cut")

    def strike_broker(self) -> None:
        self._note(self._broker.strike())

    def _wait_for_work(self) -> None:
        """Wait until a message is received, so that a fault meets processes at work; not where all are frozen."""
        before, until = len(self._received()), time.monotonic() + WORK_SECONDS
        while len(self._received()) == before and time.monotonic() < until:
            threading.Event().wait(0.02)

    def _publish(self, numbers: range) -> None:
        """Publish in transactions of 1 to 20 messages, some of which are rolled back."""
        left = list(numbers)
        while left:
            part, left = left[: (size := self._dice.randint(1, 20))], left[size:]
            is_committed = self._dice.random() >= ROLLED_BACK
            messages = []
            for number in part:
                key = f"k{self._dice.randrange(KEYS)}"
                messages.append(NewMessage({"number": number, "key": key}, key=key))
            with transaction.atomic():
                publish_many(BROKER, self._destination, messages)
                transaction.set_rollback(not is_committed)
            (self.committed if is_committed else self.rolled_back).update(part)

    def _relay(self) -> RunningWorker:
        queue = f"messages.{BROKER}"
        settings = {"BROKERS": {BROKER: self._broker.settings}}
        return self._kept(self._start("--queues", queue, "--concurrency", "2", settings=settings, **WORKER))

    def _consumer(self) -> RunningWorker:
        settings = {"BROKERS": {BROKER: self._broker.settings}}
        return self._kept(self._start(command=("jobs", "consume"), settings=settings))

    def _kept(self, process: RunningWorker) -> RunningWorker:
        self._all.append(process)
        return process

    def _kill(self, some: list[RunningWorker], start: Callable[[], RunningWorker]) -> None:
        """Kill one with all its processes, as a host's loss of power does, and start another."""
        one = some.pop(self._dice.randrange(len(some)))
        self._note(f"SIGKILL to the group of {one.process.pid}")
        one.kill()
        some.append(start())

    def _freeze(self, one: RunningWorker) -> None:
        """Stop one with all its processes; it goes on after a while, unless it is killed before."""
        pid, seconds = one.process.pid, self._dice.uniform(*FROZEN_SECONDS)
        self._note(f"SIGSTOP to the group of {pid} for {seconds:.1f} s")
        _signal(pid, signal.SIGSTOP)
        thaw = threading.Timer(seconds, _signal, [pid, signal.SIGCONT])
        thaw.start()
        self._thaws.append(thaw)

    def _records(self) -> list[Record]:
        found = self._broker.records(self._topic)
        return read_witness(self._witness) if found is None else found

    def _is_sent(self) -> bool:
        waiting = Job.objects.filter(queue_name=f"messages.{BROKER}").exclude(state__in=FINAL_STATES)
        return not waiting.exists()

    def _is_received(self) -> bool:
        """Tell whether every message has come; of a log every copy."""
        received = self._received()
        if not self.committed <= set(received):
            return False
        return self._broker.kind == "queue" or len(received) >= len(self._records())

    @staticmethod
    def _received() -> list[int]:
        jobs = Job.objects.filter(name="chaos.receive").order_by("pk").values_list("arguments", flat=True)
        return [arguments["number"] for arguments in jobs]

    def _stop(self, some: list[RunningWorker]) -> None:
        """End all in good order. One that died because its database or broker was away when it began is over, too."""
        for one in some:
            one.signal(signal.SIGTERM)
        for one in some:
            self._note(f"{one.process.pid} ends with code {one.wait()}")

    def said(self, folder: Path) -> str:
        """Write what all processes said into files, and return where."""
        for one in self._all:
            (folder / f"{one.process.pid}.log").write_text(one.output)
        return str(folder)


def _signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to a group of ours that may have ended."""
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def _is_alive(pid: int) -> bool:
    """Tell whether a process of this group is left."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True
