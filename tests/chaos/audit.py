"""Audit: compare what was promised and what jobs said with what the database says. One function a promise.

Each yields what is wrong, in words. ``audit`` calls them all; ``tests/unit/test_audit.py`` breaks each promise once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from django_jobs.policy.rollup import ALL_QUEUES

from . import audit_groups, audit_limits
from . import jobs as kinds
from .records import Facts
from .runs import named, sure_runs

COUNTED = {"succeeded", "failed", "timed_out", "retried", "discarded"}
"""Outcomes of attempts that use one up."""
REPEATED = {"failed", "timed_out", "retried", "lost"}
"""Outcomes after which a job runs again, unless it dies."""
SUCCEEDED_ALONE = frozenset({"succeeded"})
CLOCK_TOLERANCE = timedelta(seconds=0.05)
"""Between the database's clock and a worker's idea of it."""


def audit(facts: Facts) -> list[str]:
    """Return what is wrong; nothing if every promise was kept."""
    return [f"{promise.__name__}: {finding}" for promise in PROMISES for finding in promise(facts)]


# Enqueue


def what_was_committed_is_there(facts: Facts) -> Iterator[str]:
    for promise in facts.promises:
        there = [pk in facts.jobs for pk in promise.ids]
        if promise.committed and not all(there):
            yield f"of promise {promise.number} ({promise.kind}), {there.count(False)} jobs are lost"
        if promise.committed is None and len(set(there)) == 2 and promise.kind != "broken batch":
            yield f"promise {promise.number} ({promise.kind}) was committed in part"


def what_was_rolled_back_never_was(facts: Facts) -> Iterator[str]:
    rolled_back = {promise.number for promise in facts.promises if promise.committed is False}
    for job in facts.jobs.values():
        if job.metadata.get("promise") in rolled_back:
            yield f"{job} is there"
    if facts.effects["charge of rolled back"]:
        yield "an effect of it is there"


def an_idempotency_key_has_one_job(facts: Facts) -> Iterator[str]:
    returned: dict[str, set[int]] = defaultdict(set)
    for promise in facts.promises:
        if promise.kind == "idempotent" and promise.committed:
            returned[promise.key].update(promise.ids)
    for key, ids in returned.items():
        if len(ids) > 1:
            yield f"the key {key} returned the jobs {sorted(ids)}"
    if len(named(facts, kinds.idempotent)) > len(returned) + sum(p.committed is None for p in facts.promises):
        yield f"{len(returned)} keys have {len(named(facts, kinds.idempotent))} jobs"


def of_a_unique_job_one_waits(facts: Facts) -> Iterator[str]:
    """No two wait for their first run at a time; a second can only come into being by an enqueue."""
    for promise in facts.promises:
        if len(promise.waiting) > 1:
            yield f"{promise.kind}, key {promise.key}: after promise {promise.number} waited {promise.waiting}"


def a_unique_job_runs_after_each_enqueue(facts: Facts) -> Iterator[str]:
    last: dict[tuple[str, str], float] = {}
    for run in facts.runs:
        name = facts.jobs[run.job_id].name
        last[name, run.key] = max(run.began, last.get((name, run.key), 0.0))
    for promise in facts.promises:
        is_unique = promise.kind in {kinds.single.name, kinds.debounced.name}
        if is_unique and promise.committed and last.get((promise.kind, promise.key), 0.0) < promise.at:
            yield f"{promise.kind}, key {promise.key}: promise {promise.number} had no run"


def keys_belong_to_jobs(facts: Facts) -> Iterator[str]:
    for key in facts.keys:
        job = facts.jobs.get(key.job_id)
        if job is None or job.name != key.job_name:
            yield f"key {key} belongs to job {key.job_id}: {job}"


# A job's life


def every_job_ends_as_it_must(facts: Facts) -> Iterator[str]:
    cancellable = _cancelled_with_others(facts)
    for job in facts.jobs.values():
        expected = kinds.EXPECTED.get(job.name, SUCCEEDED_ALONE)
        if job.state not in expected and not (job.state == "cancelled" and job.pk in cancellable):
            yield f"{job}, expected {' or '.join(sorted(expected))}"


def attempts_are_exact(facts: Facts) -> Iterator[str]:
    begun = Counter(run.job_id for run in facts.runs)
    attempts = defaultdict(list)
    for attempt in facts.attempts:
        attempts[attempt.job_id].append(attempt)
    redriven = Counter(letter.job_id for letter in facts.dead_letters if letter.status == "redriven")
    for job in facts.jobs.values():
        of_job = attempts[job.pk]
        outcomes = Counter(attempt.outcome for attempt in of_job)
        counted = sum(outcomes[outcome] for outcome in COUNTED)
        allowed = job.max_attempts * (1 + redriven[job.pk])
        yield from (
            f"{job} {wrong}"
            for is_wrong, wrong in [
                (begun[job.pk] > len(of_job) and not facts.crashed, f"began {begun[job.pk]} times: {outcomes}"),
                (len({attempt.claim_number for attempt in of_job}) < len(of_job), "finished one claim twice"),
                (outcomes["succeeded"] > 1, f"succeeded {outcomes['succeeded']} times"),
                (job.state == "succeeded" and not outcomes["succeeded"], "succeeded without an attempt that did"),
                (job.state != "succeeded" and outcomes["succeeded"], "has an attempt that succeeded"),
                (counted > allowed, f"used up {counted} of {allowed} attempts"),
            ]
            if is_wrong
        )


def effects_are_exact(facts: Facts) -> Iterator[str]:
    for job in named(facts, kinds.effect):
        number = facts.effects[f"effect of {job.pk}"]
        if number != (job.state == "succeeded"):
            yield f"{job} left {number} effects"
    for key in {job.arguments["key"] for job in named(facts, kinds.charges)}:
        if facts.effects[f"charge of {key}"] != 1:
            yield f"the key {key} of once() left {facts.effects[f'charge of {key}']} effects"


def what_was_cancelled_does_not_begin(facts: Facts) -> Iterator[str]:
    for run in sure_runs(facts):
        at = facts.cancelled.get(run.job_id)
        if at is not None and run.began > at:
            yield f"job {run.job_id} began {run.began - at:.3f} s after it was cancelled"
    for job_id in facts.cancelled:
        if facts.jobs[job_id].state != "cancelled":
            yield f"{facts.jobs[job_id]} was cancelled"


def what_is_paused_is_not_claimed(facts: Facts) -> Iterator[str]:
    lost = {(attempt.job_id, attempt.claim_number) for attempt in facts.attempts if attempt.outcome == "lost"}
    for job_id, number in sorted(facts.claimed_while_paused - lost):
        yield f"claim {number} of job {job_id}"


def what_has_expired_did_not_begin(facts: Facts) -> Iterator[str]:
    """Of a lost attempt only the claim is known, which does not ask for the expiry."""
    expiries = {expiry.job_id: expiry for expiry in facts.expiries}
    for attempt in facts.attempts:
        expiry = expiries.get(attempt.job_id) if attempt.outcome != "lost" else None
        if expiry and attempt.started_at and attempt.started_at > expiry.expires_at + CLOCK_TOLERANCE:
            yield f"job {attempt.job_id} began {attempt.started_at - expiry.expires_at} too late"
    for job in named(facts, kinds.fleeting):
        if (job.state == "cancelled") != bool(expiries[job.pk].expired_at):
            yield f"{job} expired at {expiries[job.pk].expired_at}"


# Dead letters and statistics


def dead_letters_are_exact(facts: Facts) -> Iterator[str]:
    open_letters = Counter(letter.job_id for letter in facts.dead_letters if letter.status == "open")
    letters = Counter(letter.job_id for letter in facts.dead_letters)
    ends = Counter((attempt.job_id, attempt.outcome) for attempt in facts.attempts)
    for job in facts.jobs.values():
        if open_letters[job.pk] != (job.state == "dead"):
            yield f"{job} has {open_letters[job.pk]} open letters"
        deaths = ends[job.pk, "discarded"]
        if job.name == kinds.fails_always.name:
            deaths += ends[job.pk, "failed"] // job.max_attempts
        if letters[job.pk] != deaths:
            yield f"{job} died {deaths} times and has {letters[job.pk]} letters"


def groups_of_dead_letters_are_exact(facts: Facts) -> Iterator[str]:
    total = Counter(letter.fingerprint for letter in facts.dead_letters)
    is_open = Counter(letter.fingerprint for letter in facts.dead_letters if letter.status == "open")
    groups = {group.fingerprint: group for group in facts.dead_letter_groups}
    for fingerprint in total.keys() | groups.keys():
        group = groups.get(fingerprint)
        counted = (group.total, group.open) if group else None
        if counted != (total[fingerprint], is_open[fingerprint]):
            yield f"{group} counts {counted}, there are {total[fingerprint], is_open[fingerprint]}"


def rollups_are_exact(facts: Facts) -> Iterator[str]:
    counted: Counter[tuple[str, str]] = Counter()
    for row in facts.rollups:
        if row.span_seconds == 3600:
            counted += Counter(
                {(row.queue_name, what): getattr(row, what) for what in ("succeeded", "retried", "dead")}
            )
    expected: Counter[tuple[str, str]] = Counter()
    died = {(letter.job_id, letter.died_at) for letter in facts.dead_letters}
    for attempt in facts.attempts:
        queue = facts.jobs[attempt.job_id].queue_name
        if attempt.outcome == "succeeded":
            expected.update([(queue, "succeeded"), (ALL_QUEUES, "succeeded")])
        elif attempt.outcome in REPEATED and (attempt.job_id, attempt.finished_at) not in died:
            expected.update([(queue, "retried"), (ALL_QUEUES, "retried")])
    for letter in facts.dead_letters:
        expected.update([(letter.queue_name, "dead"), (ALL_QUEUES, "dead")])
    for which in sorted(expected.keys() | counted.keys()):
        if counted[which] != expected[which]:
            yield f"{which} is {counted[which]}, expected {expected[which]}"


def _cancelled_with_others(facts: Facts) -> set[int]:
    """Return the jobs of cancelled batches, with those inside, and the jobs that wait for a cancelled job."""
    cancelled: set[int] = set()
    for batch in facts.batches:  # a batch inside has a higher id
        if batch.cancelled_at is not None or batch.parent_id in cancelled:
            cancelled.add(batch.pk)
    jobs = {member.job_id for member in facts.batch_jobs if member.batch_id in cancelled}
    for edge in facts.dependencies:
        if facts.jobs[edge.predecessor_id].state == "cancelled":
            jobs.add(edge.job_id)
    return jobs


PROMISES: Sequence[Callable[[Facts], Iterator[str]]] = (
    what_was_committed_is_there,
    what_was_rolled_back_never_was,
    an_idempotency_key_has_one_job,
    of_a_unique_job_one_waits,
    a_unique_job_runs_after_each_enqueue,
    keys_belong_to_jobs,
    every_job_ends_as_it_must,
    attempts_are_exact,
    effects_are_exact,
    what_was_cancelled_does_not_begin,
    what_is_paused_is_not_claimed,
    what_has_expired_did_not_begin,
    dead_letters_are_exact,
    groups_of_dead_letters_are_exact,
    rollups_are_exact,
    audit_limits.limits_hold,
    audit_limits.rates_hold,
    audit_limits.orderings_hold,
    audit_limits.no_permit_is_left,
    audit_limits.no_breaker_is_open,
    audit_groups.batches_count_their_members,
    audit_groups.callbacks_are_enqueued_once,
    audit_groups.graphs_keep_their_order,
    audit_groups.results_are_handed_on,
    audit_groups.ticks_have_no_gap,
    audit_groups.ticks_and_jobs_are_pairs,
    audit_groups.overlaps_are_kept,
    audit_groups.files_are_exact,
)
