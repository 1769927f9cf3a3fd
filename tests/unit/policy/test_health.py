from __future__ import annotations

import math

import pytest

from django_jobs.policy.health import Health, WorkerLiveness, check_health, combine_health


def process(*, attempted=1.0, saved=1.0, polled=0.1, checked=0.1):
    return WorkerLiveness(
        pid=7, heartbeat_attempt_age=attempted, heartbeat_age=saved, poll_age=polled, check_age=checked
    )


def judged(*processes, wanted=1, stopping=False, waits_for=""):
    return check_health(
        processes,
        wanted=wanted,
        stopping=stopping,
        waits_for=waits_for,
        live_within=60,
        ready_within=15,
        check_within=15,
    )


def test_all_well():
    health = judged(process(), process(), wanted=2)

    assert health.not_live == ()
    assert health.not_ready == ()


def test_a_process_that_starts_is_live_and_not_ready():
    health = judged(process(attempted=None, saved=None, polled=None))

    assert health.not_live == ()
    assert health.not_ready == ("worker process 7: has not reached the database yet",)


def test_a_runworker_that_waits_for_its_database_is_live_and_not_ready():
    health = judged(wanted=2, waits_for="the database is not migrated")

    assert health.not_live == ()
    assert health.not_ready == ("the database is not migrated",)
    assert health.waits_for == "the database is not migrated"


def test_a_runworker_that_stops_waits_for_nothing():
    assert judged(wanted=2, waits_for="the database is not migrated", stopping=True).waits_for == ""


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


WELL = Health(not_live=(), not_ready=())
CUT_OFF = Health(not_live=(), not_ready=("worker process 7: no heartbeat saved for 20 s",))


def test_of_several_databases_one_that_is_served_makes_it_ready():
    health = combine_health({"default": WELL, "eu": CUT_OFF})

    assert (health.not_live, health.not_ready) == ((), ())
    assert health.degraded == ("database 'eu': worker process 7: no heartbeat saved for 20 s",)


def test_a_loop_of_one_database_that_is_stuck_makes_it_not_live():
    stuck = Health(not_live=("stuck",), not_ready=("stuck",))
    health = combine_health({"default": WELL, "eu": stuck})

    assert health.not_live == health.not_ready == ("database 'eu': stuck",)


def test_without_any_database_it_is_not_ready_and_says_once_what_is_true_of_all():
    stopping = Health(not_live=(), not_ready=("it is stopping", *CUT_OFF.not_ready))
    health = combine_health({"default": Health(not_live=(), not_ready=("it is stopping",)), "eu": stopping})

    assert health.not_ready == ("it is stopping", f"database 'eu': {CUT_OFF.not_ready[0]}")
    assert (health.degraded, health.waits_for) == ((), "")


def test_it_waits_while_all_databases_are_waited_for():
    waiting = Health(not_live=(), not_ready=("no server",), waits_for="no server")

    assert combine_health({"default": waiting, "eu": waiting}).waits_for == "no server"
    assert combine_health({"default": WELL, "eu": waiting}).waits_for == ""
    assert combine_health({"default": CUT_OFF}) is CUT_OFF
