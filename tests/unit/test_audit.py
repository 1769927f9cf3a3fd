"""The audit of the chaos test bites: each promise that is broken is found, and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from django_jobs.models import (
    Attempt,
    Batch,
    BatchJob,
    CronSchedule,
    DeadLetter,
    DeadLetterGroup,
    Dependency,
    EnqueueKey,
    Expiry,
    Job,
    Limit,
    LimitSignal,
    Permit,
    ResultRetention,
    Rollup,
    Tick,
)
from django_jobs.policy.limits import LimitKind, PermitPhase
from django_jobs.policy.rollup import ALL_QUEUES
from tests.chaos import jobs as kinds
from tests.chaos.audit import PROMISES, audit
from tests.chaos.load import Promise
from tests.chaos.records import Facts, Run

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def job(pk, kind=kinds.quick, state="succeeded", **fields):
    usual = {"enqueued_at": NOON, "finished_at": NOON + SECOND, "max_attempts": 3, "queue_name": "default"}
    return Job(pk=pk, name=kind.name, state=state, **(usual | fields))


def attempt(job_id, outcome="succeeded", number=1, **fields):
    usual = {"started_at": NOON, "finished_at": NOON + SECOND}
    return Attempt(job_id=job_id, claim_number=number, outcome=outcome, **(usual | fields))


def run(job_id, began=0.0, ended=1.0, key=""):
    return Run(job_id=job_id, key=key, began=began, ended=ended)


def rollup(name, **sums):
    return Rollup(span_seconds=3600, queue_name=name, starts_at=NOON, **sums)


def counted(**sums):
    return [rollup("default", **sums), rollup(ALL_QUEUES, **sums)]


def facts(*jobs, **fields):
    """Return what is known of jobs that ran once, for a second from the beginning, and succeeded."""
    usual = {
        "attempts": [attempt(one.pk) for one in jobs if one.state == "succeeded"],
        "rollups": counted(succeeded=sum(one.state == "succeeded" for one in jobs)),
    }
    return Facts(jobs={one.pk: one for one in jobs}, **(usual | fields))


GOOD = facts(
    job(1),
    promises=[Promise(number=0, kind="harmless", at=0.0, ids=[1], committed=True)],
    runs=[run(1), run(1), run(1)],
    attempts=[attempt(1, "lost"), attempt(1, "failed", 2), attempt(1, "succeeded", 3)],
    rollups=counted(succeeded=1, retried=2),
)


def of_key(*runs, kind):
    """Return two jobs of one key that ran so."""
    return facts(job(1, kind), job(2, kind), runs=list(runs))


def in_batch(**fields):
    batch = Batch(pk=7, closed_at=NOON, on_complete={}, **({"state": "succeeded", "total": 1, "succeeded": 1} | fields))
    callback = job(2, kinds.on_complete, metadata={"batch": 7})
    return {"batches": [batch], "batch_jobs": [BatchJob(job_id=1, batch_id=7)]}, callback


BATCH, CALLBACK = in_batch()
LETTER = DeadLetter(job_id=1, queue_name="default", fingerprint="f", status="open", died_at=NOON + SECOND)
DEAD = facts(
    job(1, kinds.fails_always, "dead", max_attempts=1),
    attempts=[attempt(1, "failed")],
    dead_letters=[LETTER],
    dead_letter_groups=[DeadLetterGroup(fingerprint="f", total=1, open=1)],
    rollups=counted(dead=1),
)
BREAKER = Limit(pk=5, kind=LimitKind.BREAKER, name="guarded", key="a", is_tripped=True)
HELD = Permit(job_id=1, limit_id=5, phase=PermitPhase.HELD, kind=LimitKind.CONCURRENCY)
SKIP = CronSchedule(pk=3, name="skip", overlap="skip")
FILE = {"$type": "file", "storage": "results", "name": "1.json", "bytes": 9}


def fired(job_id, due_at=NOON):
    return Tick(schedule_id=3, due_at=due_at, outcome="fired", job_id=job_id)


def test_what_kept_every_promise_has_no_finding():
    assert audit(GOOD) == []
    assert audit(DEAD) == []
    assert audit(replace(GOOD, runs=[run(1)])) == [], "an attempt may be lost before it said that it began"
    assert audit(facts(job(1), CALLBACK, **BATCH)) == []


def test_of_a_server_that_crashed_only_the_newest_claims_are_forgiven():
    many = replace(GOOD, runs=[run(1)] * 4)
    assert audit(replace(many, crashed=True)) == []
    assert len(audit(many)) == 1


BROKEN = {
    "what_was_committed_is_there": replace(
        GOOD, promises=[Promise(number=0, kind="harmless", at=0.0, ids=[1, 2], committed=True)]
    ),
    "what_was_rolled_back_never_was": facts(
        job(1, metadata={"promise": 0}), promises=[Promise(number=0, kind="rolled back", at=0.0, committed=False)]
    ),
    "an_idempotency_key_has_one_job": facts(
        job(1, kinds.idempotent),
        job(2, kinds.idempotent),
        promises=[Promise(number=0, kind="idempotent", at=0.0, ids=[1, 2], committed=True, key="a")],
    ),
    "of_a_unique_job_one_waits": replace(
        GOOD, promises=[Promise(number=0, kind=kinds.single.name, at=0.0, committed=None, key="a", waiting=[1, 2])]
    ),
    "a_unique_job_runs_after_each_enqueue": facts(
        job(1, kinds.single, arguments={"key": "a"}),
        runs=[run(1, key="a")],
        promises=[Promise(number=0, kind=kinds.single.name, at=0.5, ids=[1], committed=True, key="a")],
    ),
    "keys_belong_to_jobs": facts(job(1), keys=[EnqueueKey(job_id=2, job_name=kinds.quick.name, digest=UUID(int=1))]),
    "every_job_ends_as_it_must": facts(job(1, state="cancelled")),
    "attempts_are_exact": replace(GOOD, runs=[run(1)] * 4),
    "effects_are_exact": facts(job(1, kinds.charges, arguments={"key": "a"}), effects=Counter({"charge of a": 2})),
    "what_was_cancelled_does_not_begin": facts(
        job(1, kinds.patient, "cancelled"), runs=[run(1)], attempts=[attempt(1, "cancelled")], cancelled={1: -1.0}
    ),
    "what_is_paused_is_not_claimed": replace(GOOD, claimed_while_paused=frozenset({(1, 3)})),
    "what_has_expired_did_not_begin": facts(
        job(1, kinds.fleeting), expiries=[Expiry(job_id=1, expires_at=NOON - SECOND)]
    ),
    "dead_letters_are_exact": replace(DEAD, dead_letters=[], dead_letter_groups=[], rollups=counted(retried=1)),
    "groups_of_dead_letters_are_exact": replace(DEAD, dead_letter_groups=[]),
    "rollups_are_exact": replace(GOOD, rollups=counted(succeeded=1, retried=1)),
    "limits_hold": of_key(run(1), run(2, 0.5, 1.5), kind=kinds.limited_by_all),
    "rates_hold": facts(*(job(pk, kinds.rated) for pk in range(1, 5)), runs=[run(pk, 0.0, 0.1) for pk in range(1, 5)]),
    "orderings_hold": of_key(run(2), run(1, 2.0, 3.0), kind=kinds.ordered),
    "no_permit_is_left": facts(job(1), limits=[Limit(pk=5, kind=LimitKind.CONCURRENCY)], permits=[HELD]),
    "no_breaker_is_open": replace(GOOD, limits=[BREAKER]),
    "batches_count_their_members": facts(job(1), CALLBACK, **in_batch(total=2)[0]),
    "callbacks_are_enqueued_once": facts(job(1), **BATCH),
    "graphs_keep_their_order": facts(
        job(1), job(2), runs=[run(1), run(2)], dependencies=[Dependency(predecessor_id=1, job_id=2, is_met=True)]
    ),
    "results_are_handed_on": facts(job(1, kinds.add_up, result_data=7)),
    "ticks_have_no_gap": facts(
        job(1, kinds.ticked),
        job(2, kinds.ticked, enqueued_at=NOON + 2 * SECOND),
        schedules=[SKIP],
        ticks=[fired(1), fired(2, NOON + 2 * SECOND)],
    ),
    "ticks_and_jobs_are_pairs": facts(job(1, kinds.ticked), schedules=[SKIP]),
    "overlaps_are_kept": facts(
        job(1, kinds.ticked), job(2, kinds.ticked), schedules=[SKIP], ticks=[fired(1), fired(2, NOON + SECOND)]
    ),
    "files_are_exact": facts(
        job(1, kinds.writes_much, result_data=FILE),
        retentions=[ResultRetention(job_id=1, file_name="1.json")],
        files={"1.json": '"2 xxx"'},
    ),
}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_broken_promise_is_found(promise):
    found = audit(BROKEN[promise.__name__])
    assert {finding.partition(":")[0] for finding in found} == {promise.__name__}, found


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"attempts": [attempt(1, "lost"), attempt(1)], "runs": []}, "finished one claim twice"),
        ({"attempts": [attempt(1), attempt(1, number=2)]}, "succeeded 2 times"),
        ({"attempts": [attempt(1, "failed", at) for at in range(4)], "runs": []}, "used up 4 of 3 attempts"),
        ({"limit_signals": [LimitSignal(limit_id=1)]}, "1 signals are left"),
        ({"effects": Counter({"charge of rolled back": 1})}, "an effect of it is there"),
        ({"files": {"stray.json": ""}}, "1 files are left by 0 runs that were lost"),
    ],
)
def test_further_ways_to_break_one_are_found(changes, finding):
    assert any(finding in found for found in audit(replace(GOOD, **changes)))
