"""Promises of batches, graphs, schedules and results in files: see ``audit``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from django_jobs.arguments.serialization import RESULT_EXPIRED
from django_jobs.policy.batches import BatchState, Callback, Counts, decide_batch
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.metadata import BATCH_KEY
from django_jobs.result_storage import parse_result_file

from . import jobs as kinds
from .records import Facts
from .runs import named, sure_runs

SECOND = timedelta(seconds=1)


# Batches and graphs


def batches_count_their_members(facts: Facts) -> Iterator[str]:
    counted = _count_members(facts)
    for batch in facts.batches:
        if batch.counts != counted[batch.pk]:
            yield f"{batch}: {batch.counts}, expected {counted[batch.pk]}"
        if decide_batch(batch.facts(counted[batch.pk])).state != batch.state:
            yield f"{batch} has {counted[batch.pk]}"
    if facts.count_deltas:
        yield f"{len(facts.count_deltas)} changes are not applied"


def callbacks_are_enqueued_once(facts: Facts) -> Iterator[str]:
    enqueued = Counter(
        (job.metadata.get(BATCH_KEY), job.name.rpartition(".")[2])
        for kind in kinds.CALLBACKS
        for job in named(facts, kind)
    )
    for batch in facts.batches:
        for callback in Callback:
            number = enqueued.pop((batch.pk, callback.value), 0)
            is_wanted = getattr(batch, callback) is not None
            if is_wanted and number not in _expected_callbacks(callback, BatchState(batch.state)):
                yield f"{batch}: {callback} was enqueued {number} times"
    if enqueued:
        yield f"callbacks of no batch: {enqueued}"


def _expected_callbacks(callback: Callback, state: BatchState) -> set[int]:
    """Return how often a callback may have been enqueued; after a redrive a failed batch may have another state."""
    match callback:
        case Callback.ON_COMPLETE:
            return {1}
        case Callback.ON_SUCCESS:
            return {int(state is BatchState.SUCCEEDED)}
        case Callback.ON_FAILURE:
            return {1} if state is BatchState.FAILED else {0, 1}


def graphs_keep_their_order(facts: Facts) -> Iterator[str]:
    runs = defaultdict(list)
    for run in sure_runs(facts):
        runs[run.job_id].append(run)
    for edge in facts.dependencies:
        before, behind = facts.jobs[edge.predecessor_id], facts.jobs[edge.job_id]
        if edge.is_met != (before.state == "succeeded"):
            yield f"{behind} waits for {before}: met is {edge.is_met}"
        if behind.state == "succeeded" and before.state != "succeeded":
            yield f"{behind}, before {before}"
        if runs[before.pk] and runs[behind.pk]:
            early = runs[before.pk][-1].ended - runs[behind.pk][0].began
            if early > 0:
                yield f"{behind} began {early:.3f} s before {before} had ended"


def results_are_handed_on(facts: Facts) -> Iterator[str]:
    for job in named(facts, kinds.add_up):
        if job.state == "succeeded" and job.result_data != sum(range(4)):
            yield f"{job} returned {job.result_data}"


# Schedules


def ticks_have_no_gap(facts: Facts) -> Iterator[str]:
    for schedule in facts.schedules:
        due = [tick.due_at for tick in facts.ticks if tick.schedule_id == schedule.pk and not tick.requested_by]
        for before, after in pairwise(due):
            if after - before != SECOND and schedule.name not in facts.paused_schedules:
                yield f"{schedule}: no tick from {before} to {after}"


def ticks_and_jobs_are_pairs(facts: Facts) -> Iterator[str]:
    fired = Counter(tick.job_id for tick in facts.ticks if tick.job_id is not None)
    for job in named(facts, kinds.ticked):
        if fired.pop(job.pk, 0) != 1:
            yield f"{job} has not one tick"
    if fired:
        yield f"ticks without a job: {fired}"
    for tick in facts.ticks:
        if (tick.outcome == "fired") != (tick.job_id is not None) or tick.outcome == "waiting":
            yield f"{tick}, job {tick.job_id}"


def overlaps_are_kept(facts: Facts) -> Iterator[str]:
    """Two jobs of a schedule overlap if it allows that, or if the first was asked to end."""
    for schedule in facts.schedules:
        if schedule.overlap == "allow":
            continue
        ids = [tick.job_id for tick in facts.ticks if tick.schedule_id == schedule.pk and tick.job_id is not None]
        for before, after in pairwise(facts.jobs[pk] for pk in sorted(ids)):
            is_replaced = schedule.overlap == "replace" and before.flags & JobFlag.CANCEL_REQUESTED
            if not is_replaced and before.finished_at > after.enqueued_at:
                yield f"{schedule}: {after} was enqueued {before.finished_at - after.enqueued_at} before {before} ended"


# Results


def files_are_exact(facts: Facts) -> Iterator[str]:
    """A worker that is killed between file and finish leaves a file; nothing else does."""
    kept = {row.job_id: row for row in facts.retentions}
    if len(kept) < len(facts.retentions):
        yield f"{len(facts.retentions)} rows for {len(kept)} results"
    for job in named(facts, kinds.writes_much):
        file = parse_result_file(job.result_data)
        row = kept.pop(job.pk, None)
        if file is None or row is None or row.file_name != file.name:
            yield f"{job} has {file} and {row}"
        elif f"{job.pk} " not in facts.files.get(file.name, ""):
            yield f"{job}: the file {file.name} is not its own, or is gone"
    for job in named(facts, kinds.writes_much_for_a_moment):
        if job.result_data != RESULT_EXPIRED:
            yield f"{job} still has {job.result_data}"
    if kept:
        yield f"rows without a result: {list(kept.values())}"
    writers = {job.pk for kind in (kinds.writes_much, kinds.writes_much_for_a_moment) for job in named(facts, kind)}
    unsaved = [a for a in facts.attempts if a.job_id in writers and a.outcome in {"lost", "released", "failed"}]
    stray = len(facts.files) - len(named(facts, kinds.writes_much))
    if stray > len(unsaved) and not facts.crashed:
        yield f"{stray} files are left by {len(unsaved)} runs that were lost"


def _count_members(facts: Facts) -> dict[int, Counts]:
    counted: dict[int, Counts] = defaultdict(Counts)

    def count(batch_id: int, state: str) -> None:
        ended = {"succeeded": Counts(1, succeeded=1), "dead": Counts(1, dead=1), "failed": Counts(1, dead=1)}
        ended["cancelled"] = Counts(1, cancelled=1)
        counted[batch_id] = counted[batch_id].plus(ended.get(state, Counts(1)))

    for member in facts.batch_jobs:
        count(member.batch_id, facts.jobs[member.job_id].state)
    for batch in facts.batches:
        if batch.parent_id is not None:
            count(batch.parent_id, batch.state)
    return counted
