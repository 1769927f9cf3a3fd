"""Limits over several worker processes that are killed on the way, by the record of the server that jobs call."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from django_jobs.models import Job, Permit, Worker
from django_jobs.policy.states import State
from django_jobs.store.queues import set_max_running
from tests.concurrency import wait_until
from tests.sampleapp import calls

from .conftest import StartWorker
from .partner import Partner, open_partner

QUICK = {"HEARTBEAT_INTERVAL": 0.2, "STALE_AFTER": 2}


@pytest.fixture
def partner() -> Iterator[Partner]:
    with open_partner() as partner:
        yield partner


def kill_a_child() -> None:
    """Kill one worker process, not its supervisor, while it has work."""
    pid = wait_until(
        lambda: Worker.objects.filter(state="running", jobs__state=State.RUNNING).values_list("pid", flat=True).first(),
        "a worker with a running job",
    )
    os.kill(pid, signal.SIGKILL)


def all_over(number: int, *, seconds: float = 60) -> None:
    wait_until(
        lambda: Job.objects.filter(state=State.SUCCEEDED).count() == number,
        f"{number} jobs to succeed",
        seconds=seconds,
    )


def test_no_second_sees_more_calls_than_the_rate_over_three_killed_workers(
    start_worker: StartWorker, partner: Partner
) -> None:
    for at in range(15):
        for key in ("fast", "slow"):
            calls.rated_call.enqueue(partner.url, key, at)
    workers = [start_worker("--concurrency", "4", **QUICK) for _ in range(3)]
    wait_until(lambda: len(partner.called_at["fast"]) >= 5, "the first calls")
    kill_a_child()
    workers[0].kill()
    all_over(30)

    for key in ("fast", "slow"):
        assert partner.most_within(key, 1.0) <= 5
        assert set(partner.bodies[key]) == {str(at) for at in range(15)}
    # Fair between keys: neither waits for the other to be through.
    assert min(partner.called_at["slow"]) < partner.called_at["fast"][10]


def test_no_more_than_the_limit_call_at_once_over_three_killed_workers(
    start_worker: StartWorker, partner: Partner
) -> None:
    calls.capped_call.enqueue_many([(partner.url, key, at) for at in range(40) for key in ("a", "b")])
    workers = [start_worker("--concurrency", "8", **QUICK) for _ in range(3)]
    wait_until(lambda: len(partner.called_at["a"]) >= 6, "the first calls")
    kill_a_child()
    workers[0].kill()
    all_over(80)

    for key in ("a", "b"):
        assert partner.most_at_once[key] == 3
        assert set(partner.bodies[key]) == {str(at) for at in range(40)}
    assert not Permit.objects.exists()


def test_jobs_of_one_key_run_strictly_one_after_another_over_killed_workers(
    start_worker: StartWorker, partner: Partner
) -> None:
    calls.ordered_call.enqueue_many([(partner.url, key, at) for at in range(20) for key in ("a", "b")])
    workers = [start_worker("--concurrency", "4", **QUICK) for _ in range(2)]
    wait_until(lambda: len(partner.called_at["a"]) >= 3, "the first calls")
    kill_a_child()
    workers[0].kill()
    all_over(40)

    for key in ("a", "b"):
        assert partner.most_at_once[key] == 1
        order = [int(body) for body in partner.bodies[key]]
        assert order == sorted(order)
        assert sorted(set(order)) == list(range(20))


def test_a_server_that_answers_429_is_left_alone_for_as_long_as_it_says(
    start_worker: StartWorker, partner: Partner
) -> None:
    partner.refuse["busy"] = 1
    calls.slow_rated_call.enqueue_many([(partner.url, "busy", at) for at in range(3)])
    calls.slow_rated_call.enqueue(partner.url, "other", 0)
    start_worker("--concurrency", "4", **QUICK)
    all_over(4)

    refused_at = partner.refused_at["busy"][0]
    later = [at for at in partner.called_at["busy"] if at > refused_at]
    assert len(later) == 3
    assert min(later) >= refused_at + calls.RETRY_AFTER_SECONDS
    assert partner.called_at["other"][0] < refused_at + calls.RETRY_AFTER_SECONDS
    assert all(job.attempt == 1 for job in Job.objects.all())


def test_a_queue_s_cap_holds_over_all_workers_and_is_changed_while_they_run(
    start_worker: StartWorker, partner: Partner
) -> None:
    set_max_running("default", 2)
    calls.plain_call.enqueue_many([(partner.url, "capped", at) for at in range(30)])
    for _ in range(2):
        start_worker("--concurrency", "8", **QUICK)
    wait_until(lambda: len(partner.called_at["capped"]) >= 10, "ten calls")
    assert partner.most_at_once["capped"] == 2

    set_max_running("default", None)
    all_over(30)
    assert partner.most_at_once["capped"] > 2
