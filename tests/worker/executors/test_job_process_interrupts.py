"""The signal that interrupts the job of a job process: in that job's function, and nowhere else."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from django_jobs import Cancel
from django_jobs.store.dialects.base.jobs import Claim
from django_jobs.worker.executors.job_process_interrupts import (
    INTERRUPT_SIGNAL,
    JobProcessInterrupts,
    SharedRunKey,
    create_shared_run_key,
)
from tests.concurrency import DEADLINE_SECONDS


def _claim(job_id: int = 1, claim_number: int = 1) -> Claim:
    return Claim(job_id, claim_number, "sample", "default", 0, 1, 5, "{}", "{}", 0.0, 0.0, None, 0.0)


@pytest.fixture
def requested_run() -> Iterator[SharedRunKey]:
    before = signal.getsignal(INTERRUPT_SIGNAL)
    yield create_shared_run_key()
    signal.signal(INTERRUPT_SIGNAL, before)


@pytest.fixture
def interrupts(requested_run: SharedRunKey) -> JobProcessInterrupts:
    return JobProcessInterrupts(requested_run)


def _request(requested_run: SharedRunKey, claim: Claim) -> None:
    requested_run[:] = [claim.job_id, claim.claim_number]
    os.kill(os.getpid(), INTERRUPT_SIGNAL)
    time.sleep(0)


def test_a_run_is_interrupted_at_once_even_while_it_sleeps(
    interrupts: JobProcessInterrupts, requested_run: SharedRunKey
) -> None:
    began = time.monotonic()
    threading.Timer(0.05, _request, (requested_run, _claim())).start()
    with pytest.raises(Cancel, match="cancellation was requested"), interrupts.interruptible_call(_claim()):
        time.sleep(DEADLINE_SECONDS)
    assert time.monotonic() - began < DEADLINE_SECONDS / 2


def test_a_run_whose_cancellation_was_requested_before_its_start_does_not_start(
    interrupts: JobProcessInterrupts, requested_run: SharedRunKey
) -> None:
    _request(requested_run, _claim())
    with pytest.raises(Cancel), interrupts.interruptible_call(_claim()):
        pytest.fail("it began")


def test_a_run_is_interrupted_only_once(interrupts: JobProcessInterrupts, requested_run: SharedRunKey) -> None:
    heard = 0
    with interrupts.interruptible_call(_claim()):
        for _ in range(3):
            try:
                _request(requested_run, _claim())
            except Cancel:
                heard += 1
    assert heard == 1


@pytest.mark.parametrize("other", [_claim(job_id=2), _claim(claim_number=2)])
def test_a_signal_for_another_run_is_ignored(
    interrupts: JobProcessInterrupts, requested_run: SharedRunKey, other: Claim
) -> None:
    with interrupts.interruptible_call(_claim()):
        _request(requested_run, other)


def test_outside_of_the_function_nothing_is_raised(
    interrupts: JobProcessInterrupts, requested_run: SharedRunKey
) -> None:
    with interrupts.interruptible_call(_claim()):
        pass
    _request(requested_run, _claim())


def test_an_interrupt_is_deferred_while_the_process_sends_a_message(
    interrupts: JobProcessInterrupts, requested_run: SharedRunKey
) -> None:
    reported: list[str] = []

    def report() -> None:
        with interrupts.uninterruptible:
            _request(requested_run, _claim())
            reported.append("whole")
        reported.append("went on")

    with pytest.raises(Cancel), interrupts.interruptible_call(_claim()):
        report()
    assert reported == ["whole"]


def test_a_message_of_another_thread_defers_nothing(
    interrupts: JobProcessInterrupts, requested_run: SharedRunKey
) -> None:
    inside, leave = threading.Event(), threading.Event()

    def report() -> None:
        with interrupts.uninterruptible:
            inside.set()
            leave.wait(DEADLINE_SECONDS)

    thread = threading.Thread(target=report)
    thread.start()
    assert inside.wait(DEADLINE_SECONDS)
    with pytest.raises(Cancel), interrupts.interruptible_call(_claim()):
        _request(requested_run, _claim())
    leave.set()
    thread.join(DEADLINE_SECONDS)


@pytest.mark.parametrize("before", [True, False])
def test_a_task_is_cancelled_inside_the_block(
    interrupts: JobProcessInterrupts, requested_run: SharedRunKey, before: bool
) -> None:
    async def run() -> str:
        block = interrupts.interruptible_task(_claim())
        try:
            with block:
                if not before:
                    asyncio.get_running_loop().call_soon(_request, requested_run, _claim())
                await asyncio.sleep(DEADLINE_SECONDS)
        except asyncio.CancelledError:
            return f"interrupted: {block.was_interrupted}"
        return "slept"

    if before:
        _request(requested_run, _claim())
    assert asyncio.run(run()) == "interrupted: True"


def test_signals_at_any_moment_are_raised_in_the_block_or_nowhere(
    interrupts: JobProcessInterrupts, requested_run: SharedRunKey
) -> None:
    """A storm of signals: every report stays whole, and no exception comes where none may."""
    over = threading.Event()

    def storm() -> None:
        while not over.is_set():
            os.kill(os.getpid(), INTERRUPT_SIGNAL)
            time.sleep(0.00005)

    thread = threading.Thread(target=storm)
    thread.start()
    begun = interrupted = 0
    try:
        for number in range(1, 3_000):
            half_told = False
            try:
                with interrupts.interruptible_call(_claim(number)):
                    begun += 1
                    requested_run[:] = [number, 1]
                    for _ in range(3):
                        with interrupts.uninterruptible:
                            half_told = True
                            sum(range(20))
                            half_told = False
            except Cancel:
                interrupted += 1
            assert not half_told
            sum(range(50))  # where a late exception would show
    finally:
        over.set()
        thread.join(DEADLINE_SECONDS)
    assert 0 < interrupted <= begun
