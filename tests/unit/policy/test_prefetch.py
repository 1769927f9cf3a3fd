from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.prefetch import Backlog, RunTimes, claim_limit, mixed_claim_limit, slots_free_soon

HORIZON = 0.25


def _stock(*, idle: int = 0, free: int | None = None, waiting: int = 0, waiting_seconds: float = 0) -> Backlog:
    return Backlog(idle=idle, free=idle if free is None else free, waiting=waiting, waiting_seconds=waiting_seconds)


def _room(stock: Backlog, typical_seconds: float, most: int = 500) -> int:
    return claim_limit(stock, typical_seconds=typical_seconds, horizon_seconds=HORIZON, max_waiting=most)


@pytest.mark.parametrize(
    ("stock", "typical_seconds", "wanted"),
    [
        (_stock(idle=4), 60.0, 4),  # long jobs: one for each idle slot and none to wait
        (_stock(idle=4), 0.01, 100),  # 4 slots do 4 * 0.25 s of 10 ms jobs within the horizon
        (_stock(idle=4), 0.0, 500),  # jobs too short to measure: what may wait at the most
        (_stock(idle=0, free=0), 0.01, 0),  # all slots held up: nothing that would only wait
        (_stock(idle=0, free=4, waiting=60, waiting_seconds=0.6), 0.01, 0),  # less than half has begun
        (_stock(idle=0, free=4, waiting=40, waiting_seconds=0.4), 0.01, 60),  # more than half has
        (_stock(idle=2, waiting=1, waiting_seconds=60), 60.0, 1),  # one of two idle slots has its job coming
        (_stock(idle=4, waiting=500), 0.0, 0),
    ],
)
def test_as_much_is_claimed_as_starts_soon(stock: Backlog, typical_seconds: float, wanted: int) -> None:
    assert _room(stock, typical_seconds) == wanted


@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(0, 1000),
    st.floats(0, 100),
    st.floats(0, 100),
    st.integers(1, 500),
)
def test_no_more_jobs_wait_than_allowed_and_an_idle_slot_always_gets_one(
    idle: int, soon: int, waiting: int, waiting_seconds: float, typical: float, most: int
) -> None:
    stock = _stock(idle=idle, free=idle + soon, waiting=waiting, waiting_seconds=waiting_seconds)
    more = _room(stock, typical, most)
    assert 0 <= more <= max(most - waiting, 0)
    if waiting < idle <= most:
        assert more >= idle - waiting


def test_a_slot_is_free_soon_if_its_job_is_expected_to_end() -> None:
    running = [(1.0, 0.9), (1.0, 0.1), (0.1, 0.05), (0.1, 30.0)]
    assert slots_free_soon(running, idle=2, horizon_seconds=HORIZON) == 2 + 1
    assert slots_free_soon([(0.3, 0.1)], idle=0, horizon_seconds=HORIZON) == 1


@pytest.mark.parametrize(
    ("sync_limit", "async_limit", "async_share", "wanted"),
    [(4, 100, 0.0, 4), (4, 100, 1.0, 100), (0, 100, 0.5, 0), (4, 100, 0.5, 8), (500, 10, 0.5, 20)],
)
def test_neither_kind_gets_more_than_its_limit(
    sync_limit: int, async_limit: int, async_share: float, wanted: int
) -> None:
    assert mixed_claim_limit(sync_limit=sync_limit, async_limit=async_limit, async_share=async_share) == wanted


def test_run_times_are_learned_by_name_and_by_queue() -> None:
    times = RunTimes(unknown_seconds=HORIZON)
    assert times.expected("pdf") == times.typical("documents") == HORIZON
    times.record({("pdf", "documents"): [2.0, 4.0], ("stamp", "documents"): [0.0]})
    assert times.expected("pdf") == 3.0
    assert times.expected("stamp") == 0.0
    assert times.typical("documents") == 2.0
    times.record({("pdf", "documents"): [8.0]})
    assert times.expected("pdf") == pytest.approx(4.0)
    assert times.typical("default") == HORIZON
