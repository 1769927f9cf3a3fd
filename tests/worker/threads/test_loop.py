from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection
from django.test import override_settings

from django_jobs.worker.threads import loop as loop_module
from django_jobs.worker.threads.db_outage import DatabaseOutage
from django_jobs.worker.threads.loop import Loop, LoopSpec
from django_jobs.worker.threads.sessions import observe_connections
from tests.concurrency import DEADLINE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


class Steps:
    """A step that does what it is told, one word a round, and then ends the loop."""

    def __init__(self, *words: float | Exception) -> None:
        self.words: Iterator[float | Exception] = iter(words)
        self.rounds = 0
        self.ended = threading.Event()

    def __call__(self) -> float | None:
        self.rounds += 1
        word = next(self.words, None)
        if isinstance(word, Exception):
            raise word
        if word is None:
            self.ended.set()
        return word


def _run(steps: Steps) -> list[str]:
    deaths: list[str] = []
    spec = LoopSpec("sampler", steps, durable=None)
    loop = Loop(spec, using="default", outage=DatabaseOutage(), on_death=deaths.append)
    loop.start()
    assert loop.join(DEADLINE_SECONDS)
    return deaths


def test_a_loop_repeats_its_step_until_that_ends_it() -> None:
    steps = Steps(0, 0, 0)
    assert _run(steps) == []
    assert steps.rounds == 4


def test_an_outage_is_logged_once_and_survived(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "INITIAL_PAUSE_SECONDS", 0.001)
    steps = Steps(0, OperationalError("gone away"), OperationalError("still gone"), 0)
    with caplog.at_level(logging.INFO, "django_jobs"):
        assert _run(steps) == []
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    (first, last) = said
    assert first == (
        "WARNING",
        "the database failed the sampler; retrying until it answers; finished runs are kept: gone away",
    )
    assert last[0] == "INFO"
    assert last[1].startswith("the database answers again, after 0.")
    assert steps.ended.is_set()


def test_pauses_grow_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps()
    spec = LoopSpec("sampler", steps, durable=None)
    loop = Loop(spec, using="default", outage=DatabaseOutage(), on_death=print)
    pauses = [loop._pause_after(OperationalError("gone")) for _ in range(12)]
    assert pauses[:4] == [0.05, 0.1, 0.2, 0.4]
    assert pauses[-1] == pauses[-2] == 5.0


def test_a_bug_ends_the_loop_with_a_critical_log(caplog: pytest.LogCaptureFixture) -> None:
    assert _run(Steps(0, ZeroDivisionError("a bug"))) == ["sampler"]
    assert "the sampler of this worker died; the worker stops" in caplog.text
    assert "ZeroDivisionError: a bug" in caplog.text


def test_waking_ends_a_pause_even_if_it_came_during_the_step() -> None:
    in_step, woken = threading.Event(), threading.Event()
    rounds = threading.Semaphore(0)

    def step() -> float:
        rounds.release()
        in_step.set()
        assert woken.wait(DEADLINE_SECONDS)
        return 3600

    spec = LoopSpec("sampler", step, durable=None)
    loop = Loop(spec, using="default", outage=DatabaseOutage(), on_death=print)
    loop.start()
    assert in_step.wait(DEADLINE_SECONDS)
    spec.wake.set()
    woken.set()
    assert rounds.acquire(timeout=DEADLINE_SECONDS)
    assert rounds.acquire(timeout=DEADLINE_SECONDS)
    loop.stop()
    assert loop.join(DEADLINE_SECONDS)


def test_a_loop_that_has_slept_through_an_outage_takes_a_new_connection() -> None:
    outage = DatabaseOutage()
    used: list[object] = []

    def step() -> float | None:
        connection.ensure_connection()
        used.append(connection.connection)
        if len(used) == 2:
            outage.begins("another", OperationalError("gone"))
            outage.ends("another")
        return None if len(used) == 4 else 0

    loop = Loop(LoopSpec("sampler", step), using="default", outage=outage, on_death=print)
    loop.start()
    assert loop.join(DEADLINE_SECONDS)
    first, second, third, fourth = used
    assert first is second is not third is fourth


def _deadlock() -> OperationalError:
    """Return the error as Django gives it to us."""
    if connection.vendor == "mysql":
        return OperationalError(1213, "Deadlock found when trying to get lock; try restarting transaction")
    from psycopg.errors import DeadlockDetected

    error = OperationalError("deadlock detected")
    error.__cause__ = DeadlockDetected("deadlock detected")
    return error


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no deadlocks")
def test_a_deadlock_is_no_outage_and_ends_one(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "INITIAL_PAUSE_SECONDS", 0.0001)
    steps = Steps(0, _deadlock(), 0, OperationalError("gone away"), *[_deadlock() for _ in range(6)], 0)
    with caplog.at_level(logging.INFO, "django_jobs"):
        assert _run(steps) == []
    said = [(record.levelname, record.getMessage().split(":")[0]) for record in caplog.records]
    undone = "the sampler conflicted with another transaction and was rolled back; retrying"
    assert said[0] == ("INFO", undone)
    assert said[1][1].startswith("the database failed the sampler")
    assert said[2][1].startswith("the database answers again")
    assert said[3:] == [("INFO", undone)] * 5 + [("WARNING", undone)], "what does not end is said louder"


@pytest.mark.parametrize("runs_project_code", [False, True])
def test_queries_that_debug_logs_are_forgotten_after_each_step(runs_project_code: bool) -> None:
    logged: list[int] = []
    observe_connections()

    def step() -> float | None:
        with connection.cursor() as cursor:
            for _ in range(2):
                cursor.execute("SELECT 1")
        logged.append(len(connection.queries_log))
        return 0 if len(logged) < 4 else None

    spec = LoopSpec("sampler", step, runs_project_code=runs_project_code)
    loop = Loop(spec, using="default", outage=DatabaseOutage(), on_death=logged.append)
    with override_settings(DEBUG=True):
        loop.start()
        assert loop.join(DEADLINE_SECONDS)
    assert logged[1:] == [2] * 3  # the first step has prepared the connection, too


def _used_after_pause(spec_of_wait: list[bool] | None, delays: list[float]) -> list[object]:
    """Run a loop that closes idle connections; return its connection of each step."""
    used: list[object] = []
    answers = iter(spec_of_wait or ())

    def step() -> float | None:
        connection.ensure_connection()
        used.append(connection.connection)
        spec.wake.set()
        return delays[len(used) - 1] if len(used) <= len(delays) else None

    def wait(seconds: float | None) -> bool:
        if seconds is None:
            assert connection.connection is None, "a server that restarts meanwhile breaks nothing"
            return True
        return next(answers)

    spec = LoopSpec("sampler", step, wait=None if spec_of_wait is None else wait, idle_close_seconds=60)
    loop = Loop(spec, using="default", outage=DatabaseOutage(), on_death=used.append)
    loop.start()
    assert loop.join(DEADLINE_SECONDS)
    return used


def test_a_loop_that_will_sleep_for_long_has_no_connection_meanwhile() -> None:
    first, second, third = _used_after_pause(None, [59, 60])
    assert first is second is not third


def test_a_loop_that_waits_for_work_for_long_has_no_connection_meanwhile() -> None:
    first, second, third = _used_after_pause([True, True, False], [0, 0])
    assert first is second is not third
