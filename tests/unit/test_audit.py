"""The audit of the chaos test bites: each promise that is broken is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.audit import JobRecord, audit

EXPECTED = {"pay": "succeeded", "fail": "dead"}
GOOD = JobRecord(
    name="pay",
    state="succeeded",
    max_attempts=3,
    tries=[(1, "lost"), (2, "failed"), (3, "succeeded")],
    begun=3,
    effects=1,
)


def audited(record, *, committed=(1,), rolled_back=0, crashed=False):
    return audit(committed, {1: record}, expected=EXPECTED, rolled_back=rolled_back, crashed=crashed)


def test_what_kept_every_promise_has_no_finding():
    assert audited(GOOD) == []
    assert audited(replace(GOOD, begun=1)) == [], "a try may be recorded lost that never said that it began"


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"state": "running"}, "is running, expected succeeded"),
        ({"begun": 4}, "began 4 times and has 3 tries"),
        ({"tries": [(1, "lost"), (1, "succeeded")], "begun": 2}, "finished one claim twice"),
        ({"tries": [(1, "succeeded"), (2, "succeeded")], "begun": 2}, "succeeded 2 times"),
        ({"tries": [(1, "lost")], "begun": 1}, "succeeded without a try that did"),
        ({"max_attempts": 1}, "used up 2 of 1 tries"),
        ({"effects": 0}, "left 0 effects, expected exactly 1"),
        ({"effects": 2}, "left 2 effects, expected exactly 1"),
    ],
)
def test_a_broken_promise_is_found(changes, finding):
    (found,) = audited(replace(GOOD, **changes))
    assert found.startswith(f"job 1 (pay): {finding}")


def test_a_lost_job_is_found():
    assert audited(GOOD, committed=(1, 2)) == ["job 2 is lost"]


def test_a_job_of_a_rolled_back_enqueue_is_found():
    assert audited(GOOD, rolled_back=1) == ["1 jobs are there whose enqueue was rolled back"]


def test_of_a_server_that_crashed_only_the_newest_claims_are_forgiven():
    assert audited(replace(GOOD, begun=4), crashed=True) == []
    assert len(audited(replace(GOOD, begun=4, effects=2), crashed=True)) == 1
