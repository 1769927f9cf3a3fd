"""The project's side of a bad day: enqueue jobs of every kind, and remember what was promised."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction

from django_jobs import Batch, chord, group
from django_jobs.batches import current_batch
from django_jobs.models import Job
from django_jobs.policy.states import WAITING_STATES
from django_jobs.workflows import Graph

from . import jobs as kinds

KEYS = ("a", "b", "c")


class RolledBack(Exception):
    """Ends a transaction, or a batch."""


@dataclass(slots=True, kw_only=True)
class Promise:
    """One transaction of enqueues. ``committed`` None: it failed, and whether it was committed is not known.

    ``key``: of a unique job; ``at``: the moment before the enqueue; ``waiting``: the jobs of this key that waited for
    their first run after the commit.
    """

    number: int
    kind: str
    at: float
    ids: list[int] = field(default_factory=list)
    committed: bool | None = None
    key: str = ""
    waiting: Sequence[int] = ()


class Load:
    """Each method enqueues something; the plan names them."""

    def __init__(self, path: str, note: Callable[[str], None]) -> None:
        self.promises: list[Promise] = []
        self._path = path
        self._note = note
        self._dice = random.Random()

    def enqueue(self, kind: str, dice: random.Random) -> None:
        """Call the method ``kind``; an error of the database leaves open whether it was committed."""
        self._dice = dice
        try:
            getattr(self, kind)()
        except (OperationalError, InterfaceError) as error:
            self._note(f"enqueueing {kind} failed: {error}")
            if connection.connection is not None and not connection.is_usable():
                connection.close()

    def harmless(self) -> None:
        with self._promise("harmless") as promise:
            for kind in kinds.HARMLESS:
                promise.ids.append(self._tag(promise, kind).enqueue(self._path).pk)

    def killer(self) -> None:
        self._plain(kinds.kills_its_worker)

    def mended(self) -> None:
        self._plain(kinds.mended)

    def results(self) -> None:
        self._plain(kinds.writes_much)
        self._plain(kinds.writes_much_for_a_moment)

    def patient(self) -> None:
        self._plain(kinds.patient)
        self._plain(kinds.patient_on_loop)

    def capped(self) -> None:
        self._plain(kinds.capped, times=8)

    def fleeting(self) -> None:
        self._plain(kinds.fleeting.using(expires_at=timedelta(seconds=0.1)), times=3)

    def rolled_back(self) -> None:
        promise = self._begin("rolled back")
        promise.committed = False
        with suppress(RolledBack), transaction.atomic():
            self._tag(promise, kinds.quick).enqueue(self._path)
            self._tag(promise, kinds.rated).enqueue(self._path, "a")
            self._tag(promise, kinds.charges).enqueue(self._path, "rolled back")
            raise RolledBack

    def once(self) -> None:
        self._keyed(kinds.charges, times=4)

    def rated(self) -> None:
        self._keyed(kinds.rated, times=6)

    def narrow(self) -> None:
        self._keyed(kinds.narrow, times=4)
        self._keyed(kinds.narrow_on_loop, times=4)

    def ordered(self) -> None:
        self._keyed(kinds.ordered, times=6)

    def guarded(self) -> None:
        self._keyed(kinds.guarded, times=3)

    def limited_by_all(self) -> None:
        self._keyed(kinds.limited_by_all, times=3)

    def unique(self) -> None:
        self._unique(kinds.single)

    def debounced(self) -> None:
        self._unique(kinds.debounced)

    def idempotent(self) -> None:
        key = f"{self._dice.choice(KEYS)}{len(self.promises) // 20}"
        for _ in range(2):
            with self._promise("idempotent", key=key) as promise:
                chosen = kinds.idempotent.using(idempotency_key=key)
                promise.ids.append(chosen.enqueue(self._path).pk)

    def chord(self) -> None:
        with self._promise("chord") as promise:
            calls = [kinds.number.s(self._path, value) for value in range(4)]
            promise.ids += [job.pk for job in chord(group(calls), kinds.add_up.s(path=self._path)).enqueue()]

    def diamond(self) -> None:
        with self._promise("diamond") as promise:
            graph = Graph()
            top = graph.add(kinds.mended.s(self._path))
            sides = [graph.add(kinds.quick.s(self._path), after=[top]) for _ in range(2)]
            limited = graph.add(kinds.ordered.s(self._path, "graph"), after=[top])
            graph.add(kinds.effect.s(self._path), after=[*sides, limited])
            promise.ids += [job.pk for job in graph.enqueue()]

    def doomed_graph(self) -> None:
        with self._promise("doomed graph") as promise:
            graph = Graph(on_dead="cancel")
            top = graph.add(kinds.fails_always.s(self._path))
            graph.add(kinds.heir.s(self._path), after=[graph.add(kinds.heir.s(self._path), after=[top])])
            promise.ids += [job.pk for job in graph.enqueue()]

    def batch(self) -> None:
        with self._promise("batch") as promise, self._batch("nested"):
            self._add(promise, kinds.quick, kinds.mended, kinds.fails_at_first)
            with self._batch("inside"):
                self._add(promise, kinds.on_loop, self._dice.choice([kinds.fails_always, kinds.slow]))

    def growing_batch(self) -> None:
        with self._promise("growing batch") as promise, self._batch("growing"):
            self._add(promise, kinds.quick)
            promise.ids.append(current_batch().add(kinds.grows.s(self._path, 3))[0].pk)

    def built_batch(self) -> None:
        self._plain(kinds.builds)

    def broken_batch(self) -> None:
        """Leave the block of a batch with an exception: its jobs are cancelled if they have not begun."""
        promise = self._begin("broken batch")
        with suppress(RolledBack), self._batch("broken"):
            self._add(promise, kinds.slow, kinds.quick)
            raise RolledBack
        promise.committed = True

    @contextmanager
    def _promise(self, kind: str, *, key: str = "") -> Iterator[Promise]:
        """Enqueue in the block; without a database error it is committed behind it."""
        promise = self._begin(kind, key=key)
        with transaction.atomic():
            yield promise
        promise.committed = True

    def _begin(self, kind: str, *, key: str = "") -> Promise:
        promise = Promise(number=len(self.promises), kind=kind, at=time.monotonic(), key=key)
        self.promises.append(promise)
        return promise

    def _batch(self, what: str) -> Batch:
        calls = {kind.function.__name__: kind.s(self._path) for kind in kinds.CALLBACKS}
        return Batch(description=what, **calls)

    def _add(self, promise: Promise, *chosen: Any) -> None:
        promise.ids += [self._tag(promise, kind).enqueue(self._path).pk for kind in chosen]

    def _plain(self, kind: Any, *, times: int = 1) -> None:
        with self._promise(kind.name) as promise:
            self._add(promise, *[kind] * times)

    def _keyed(self, kind: Any, *, times: int) -> None:
        with self._promise(kind.name) as promise:
            for _ in range(times):
                key = self._dice.choice(KEYS)
                promise.ids.append(self._tag(promise, kind).enqueue(self._path, key).pk)

    def _unique(self, kind: Any) -> None:
        for _ in range(3):
            key = self._dice.choice(KEYS)
            with self._promise(kind.name, key=key) as promise:
                promise.ids.append(kind.enqueue(self._path, key).pk)
            first_waits = Job.objects.filter(name=kind.name, state__in=WAITING_STATES, claim_number=0)
            promise.waiting = list(first_waits.filter(arguments__key=key).values_list("pk", flat=True))

    @staticmethod
    def _tag(promise: Promise, kind: Any) -> Any:
        return kind.using(metadata={"promise": promise.number})
