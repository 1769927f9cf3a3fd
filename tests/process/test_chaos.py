"""Chaos: all features at once while workers and their database have a bad day; then every promise is audited.

A seed's plan is always the same; when a process hears of what happens is up to the operating system.
Each database has a seed of its own; ``DJANGO_JOBS_TEST_SEEDS=1-20`` chooses others.
``DJANGO_JOBS_TEST_CHAOS_SECONDS=600`` is a long day.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from django_jobs.models import Attempt, Job
from django_jobs.store.results.retention import expire_results
from django_jobs.store.stats.rollup import roll_up
from tests.chaos.audit import audit
from tests.chaos.faults import Faults
from tests.chaos.load import Load
from tests.chaos.plan import Round, draw_plan
from tests.chaos.records import Facts, read_facts, unfinished, what_is_left
from tests.chaos.staff import Staff
from tests.concurrency import wait_until
from tests.databases import chosen_vendor
from tests.process.conftest import StartWorker
from tests.results import storing

SECONDS = float(os.environ.get("DJANGO_JOBS_TEST_CHAOS_SECONDS", "3"))
ONE_SEED = {"sqlite": "1", "postgresql": "2", "mysql": "3"}
FIRST, _, LAST = os.environ.get("DJANGO_JOBS_TEST_SEEDS", ONE_SEED[chosen_vendor()]).partition("-")
REPEAT = (
    "DJANGO_JOBS_TEST_SEEDS={seed} DJANGO_JOBS_TEST_CHAOS_SECONDS={seconds:g} python3 tests --database {vendor} {file}"
)

pytestmark = [
    pytest.mark.process,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(3 * SECONDS + 200),
]


class Day:
    """One bad day: the plan is carried out, then all is mended and what is left is done."""

    def __init__(self, request: pytest.FixtureRequest, start_worker: StartWorker, folder: Path) -> None:
        self.events: list[str] = []
        self._began_at = time.monotonic()
        self._path, self._results = folder / "runs", folder / "results"
        self._path.touch()
        request.getfixturevalue("worker_environment")["DJANGO_JOBS_TEST_RESULTS"] = str(self._results)
        has_server = chosen_vendor() != "sqlite"
        server, proxy = [request.getfixturevalue(name) if has_server else None for name in ("server", "proxy")]
        self.staff = Staff(str(self._path), self.note)
        self.load = Load(str(self._path), self.note)
        self.faults = Faults(start_worker, self.note, server=server, proxy=proxy)

    def live(self, plan: list[Round]) -> None:
        """Do what the plan says."""
        pause = threading.Event()
        for moment in plan:
            dice = random.Random(moment.dice)
            for kind in moment.loads:
                self.load.enqueue(kind, dice)
            for act in moment.staff:
                self.staff.act(act, dice)
            pause.wait(moment.seconds)
            self.faults.strike(moment.fault, dice)
            if moment.restart:
                self.faults.restart(moment.restart)

    def end(self) -> list[str]:
        """Let workers finish what is left, and end them; return what those said that did not end well."""
        self.faults.relent()
        self.staff.relent()
        self.faults.start()
        self.note("the day is over")

        def is_done() -> bool:
            self.staff.mend()
            return not what_is_left()

        wait_until(is_done, "everything to be done", seconds=60 + 2 * SECONDS)
        self.note("all is done")
        unwell = self.faults.stop_all()
        roll_up(min_age=timedelta(0))
        with storing(self._results):
            expire_results()
        return unwell

    def facts(self) -> Facts:
        return read_facts(
            self._path,
            promises=self.load.promises,
            cancelled=self.staff.cancelled,
            claimed_while_paused=frozenset(self.staff.claimed_while_paused),
            paused_schedules=frozenset(self.staff.paused_schedules),
            crashed=self.faults.has_crashed,
            results=self._results,
        )

    def note(self, event: str) -> None:
        self.events.append(f"{time.monotonic() - self._began_at:6.2f} s  {event}")


@pytest.mark.parametrize("seed", range(int(FIRST), int(LAST or FIRST) + 1))
def test_every_promise_is_kept_on_a_bad_day(
    request: pytest.FixtureRequest, start_worker: StartWorker, tmp_path: Path, seed: int
) -> None:
    repeat = REPEAT.format(seed=seed, seconds=SECONDS, vendor=chosen_vendor(), file="tests/process/test_chaos.py")
    day = Day(request, start_worker, tmp_path)
    try:
        day.live(draw_plan(seed, seconds=SECONDS))
        unwell = day.end()
    except AssertionError as error:
        left = Counter(unfinished().values_list("name", "state", "worker_deaths"))
        pytest.fail("\n".join([repeat, *day.events, str(error), str(what_is_left()), str(left)]))

    findings = audit(day.facts())
    report = "\n".join([repeat, *day.events, *findings])
    print(report)
    print(f"{Job.objects.count()} jobs, {Attempt.objects.count()} attempts,", dict(_outcomes()))
    assert not findings, report
    assert not unwell, "\n".join([report, *unwell])


def _outcomes() -> Counter[str]:
    return Counter(Attempt.objects.values_list("outcome", flat=True))
