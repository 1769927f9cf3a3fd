from __future__ import annotations

import threading
import time

import pytest

from django_jobs.exceptions import JobTimeoutError
from django_jobs.worker.execution.timeouts import Watchdog
from django_jobs.worker.threads.batch_queue import BatchQueue
from tests.concurrency import DEADLINE_SECONDS, Background


def _spin(until: threading.Event) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not until.is_set():
        assert time.monotonic() < deadline


def test_a_limit_raises_inside_its_thread_only() -> None:
    watchdog, never, other_done = Watchdog(), threading.Event(), threading.Event()

    def hang() -> str:
        try:
            with watchdog.limit(0.05):
                _spin(never)
        except JobTimeoutError:
            return "timed out"
        return "ended"

    def go_on() -> str:
        with watchdog.limit(DEADLINE_SECONDS):
            _spin(other_done)
        return "ended"

    hanging, other = Background(hang), Background(go_on)
    assert hanging.result() == "timed out"
    other_done.set()
    assert other.result() == "ended"


def test_a_limit_that_was_left_in_time_never_fires() -> None:
    watchdog = Watchdog()
    fired = 0
    for _ in range(300):
        try:
            with watchdog.limit(0.0005):
                time.monotonic()
            for _ in range(2_000):  # where a late exception would show
                pass
        except JobTimeoutError:
            fired += 1
    with watchdog.limit(DEADLINE_SECONDS):
        pass
    assert fired <= 300


def test_a_limit_fires_though_a_later_one_was_set_before_it() -> None:
    watchdog, is_set, enough = Watchdog(), threading.Event(), threading.Event()

    def hang_long() -> str:
        with watchdog.limit(DEADLINE_SECONDS):
            is_set.set()
            _spin(enough)
        return "ended"

    long = Background(hang_long)
    assert is_set.wait(DEADLINE_SECONDS)
    with pytest.raises(JobTimeoutError), watchdog.limit(0.05):
        _spin(enough)
    enough.set()
    assert long.result() == "ended"


def test_a_batch_queue_returns_all_items_up_to_its_maximum() -> None:
    queue: BatchQueue[int] = BatchQueue(max_items=3)
    for number in range(5):
        queue.put(number)
    assert len(queue) == 5
    assert queue.take() == [0, 1, 2]
    assert queue.take() == [3, 4]
    waiting = Background(queue.take)
    queue.put(5)
    assert waiting.result() == [5]
    queue.put(6)
    queue.close()
    assert (queue.take(), queue.is_ended) == ([6], True)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_closed_batch_queue_ends_even_if_its_last_batch_was_full(number: int) -> None:
    queue: BatchQueue[int] = BatchQueue(max_items=2)
    for one in range(number):
        queue.put(one)
    queue.close()
    taken: list[int] = []
    while not queue.is_ended:
        taken += queue.take()
    assert taken == list(range(number))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watchdog_that_died_is_replaced_with_the_next_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    watchdog = Watchdog()

    def fail() -> None:
        monkeypatch.undo()
        raise RuntimeError("out of memory")

    monkeypatch.setattr(watchdog, "_fire_due", fail)
    with watchdog.limit(DEADLINE_SECONDS):
        first = watchdog._thread
        assert first is not None
        first.join(DEADLINE_SECONDS)
        assert not first.is_alive()
        with pytest.raises(JobTimeoutError), watchdog.limit(0.01):
            _spin(threading.Event())
