from __future__ import annotations

import math

import pytest

from django_jobs.policy.health import (
    NOBODY_CLAIMS_SECONDS,
    IdleWorker,
    WaitingQueue,
    WorkerLiveness,
    check_health,
    find_unserved,
)


def process(*, attempted=1.0, saved=1.0, polled=0.1, checked=0.1):
    return WorkerLiveness(
        pid=7, heartbeat_attempt_age=attempted, heartbeat_age=saved, poll_age=polled, check_age=checked
    )


def judged(*processes, wanted=1, stopping=False):
    return check_health(processes, wanted=wanted, stopping=stopping, live_within=60, ready_within=15, check_within=15)


def test_all_well():
    health = judged(process(), process(), wanted=2)

    assert health.not_live == ()
    assert health.not_ready == ()


def test_a_process_that_starts_is_live_and_not_ready():
    health = judged(process(attempted=None, saved=None, polled=None))

    assert health.not_live == ()
    assert health.not_ready == ("worker process 7: has not reached the database yet",)


def test_an_outage_of_the_database_is_no_reason_to_restart():
    health = judged(process(attempted=4, saved=3600))

    assert health.not_live == ()
    assert health.not_ready == ("worker process 7: no heartbeat saved for 3600 s",)


@pytest.mark.parametrize(
    ("beat", "reason"),
    [
        (process(attempted=61), "worker process 7: no heartbeat attempted for 61 s"),
        (process(polled=61), "worker process 7: has not polled for jobs for 61 s"),
    ],
)
def test_a_stuck_loop_is_neither_live_nor_ready(beat, reason):
    health = judged(beat)

    assert health.not_live == (reason,)
    assert health.not_ready == (reason,)


def test_a_stopped_claimer_need_not_poll():
    assert judged(process(polled=-math.inf, checked=-math.inf)).not_live == ()
    assert judged(process(polled=-math.inf, checked=-math.inf)).not_ready == ()


def test_a_process_that_polls_and_does_not_check_the_queues_is_not_ready():
    health = judged(process(checked=16))

    assert health.not_live == ()
    assert health.not_ready == ("worker process 7: has not checked the queues for 16 s",)
    assert judged(process(checked=None)).not_ready == ()


def test_a_missing_process_and_a_stop_are_not_ready():
    assert judged(process(), wanted=2).not_ready == ("1 of 2 worker processes are running",)
    assert judged(process(), stopping=True).not_ready == ("it is stopping",)


def neglect(*waiting, served=(None,)):
    queues = [WaitingQueue(name=name, waited=waited) for name, waited in waiting]
    return find_unserved(queues, served=served, wait_within=300)


def test_queues_that_are_served_are_no_problem():
    assert neglect(("mail", 299), ("documents", 0), served=[frozenset({"mail"}), frozenset({"documents"})]) == []
    assert neglect(("mail", 300)) == []


def test_no_worker_at_all_is_one_problem_and_not_one_a_queue():
    assert neglect(("mail", 1), served=[]) == ["no worker is alive; start one by 'manage.py runworker'"]


def test_a_queue_that_nobody_serves_is_named():
    problems = neglect(("mail", 1), served=[frozenset({"documents"})])

    assert problems == ["queue mail: jobs are ready and no living worker serves it"]


def test_a_queue_that_waits_too_long_is_named():
    assert neglect(("mail", 301)) == ["queue mail: a job has been ready for 301 s, longer than 300 s"]


LONG = NOBODY_CLAIMS_SECONDS + 1


def overlooked(*idle, waited=LONG, is_full=False):
    queue = WaitingQueue(name="mail", waited=waited, is_full=is_full)
    workers = [IdleWorker(queues=queues, seconds=seconds) for queues, seconds in idle]
    return find_unserved([queue], served=[None], idle=workers, wait_within=300)


def test_a_queue_that_idle_workers_overlook_is_named():
    assert overlooked((None, LONG), (frozenset({"mail"}), LONG)) == [
        "queue mail: a job has been ready for 31 s, and none of the 2 idle workers that serve it has claimed it"
    ]


@pytest.mark.parametrize(
    "problems",
    [
        overlooked(),
        overlooked((None, NOBODY_CLAIMS_SECONDS)),
        overlooked((frozenset({"documents"}), LONG)),
        overlooked((None, LONG), waited=NOBODY_CLAIMS_SECONDS),
        overlooked((None, LONG), is_full=True),
    ],
)
def test_a_queue_is_not_overlooked_if_nobody_could_have_claimed_by_now(problems):
    assert problems == []
