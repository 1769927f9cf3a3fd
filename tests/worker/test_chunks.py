"""Chunk jobs with limits, batches, chords, signals, hooks and logs: each job counts as one, a call as one call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from django_jobs import Batch, chord, signals
from django_jobs.models import Job, JobLog
from django_jobs.testing import drain, run_job, working
from tests.sampleapp import chunked
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)


def test_limits_count_each_job_of_a_chunk() -> None:
    two = chunked.count_two.enqueue_many([(n,) for n in range(5)])
    three = chunked.count_three.enqueue_many([(n,) for n in range(5)])
    tenants = chunked.one_a_tenant.enqueue_many([({"tenant": tenant, "text": ""},) for tenant in "aabb"])
    drain()
    assert sorted(job.refresh().result for job in two) == [1, 2, 2, 2, 2]
    assert [job.result for job in three if job.refresh().state == "succeeded"] == [3, 3, 3]
    assert [job.refresh().result for job in tenants] == [["a", "b"]] * 4


def test_jobs_of_one_chunk_end_a_batch_and_pass_their_results_on() -> None:
    with Batch(on_complete=sample.tell_batch) as batch:
        chunked.mark.enqueue_many([("a",), ("discard",), ("cancel",)])
        *_, total = chord([chunked.mark.s("x"), chunked.mark.s("y")], sample.add_all.s()).enqueue()
    assert drain().succeeded == 5
    assert (batch.progress().state, total.refresh().result) == ("failed", 10)
    assert Job.objects.get(name=sample.tell_batch.name).result == batch.id


def test_signals_are_sent_for_each_job_and_hooks_are_entered_once(settings: Any, tmp_path: Path) -> None:
    settings.DJANGO_JOBS = {"HOOKS": ["tests.sampleapp.hooks.Trace"]}
    trace, sent = tmp_path / "trace", []

    def listen(signal: Any, job: Job, **kwargs: Any) -> None:
        sent.append(("started" if signal is signals.job_started else "succeeded", job.pk))

    jobs = chunked.mark.using(metadata={"trace": str(trace)}).enqueue_many([("a",)] * 3)
    for signal in (signals.job_started, signals.job_succeeded):
        signal.connect(listen)
    try:
        assert drain().succeeded == 3
    finally:
        for signal in (signals.job_started, signals.job_succeeded):
            signal.disconnect(listen)
    assert sent == [(kind, job.pk) for kind in ("started", "succeeded") for job in jobs]
    assert trace.read_text().splitlines() == [f"begin {os.getpid()}", f"end {os.getpid()}"]


def test_a_request_to_cancel_ends_the_job_that_looks_and_no_other() -> None:
    looks, goes_on = chunked.cancel_all_and_heed.enqueue_many([("looks",), ("no",)])
    drain()
    assert (looks.refresh().state, goes_on.refresh().state, goes_on.result) == ("cancelled", "succeeded", "went on")


def test_what_is_logged_belongs_to_the_first_job_and_in_a_block_to_that_of_the_item() -> None:
    jobs = chunked.log_each.enqueue_many([("a",), ("b",)])
    drain()
    said = [" ".join(str(line) for line in JobLog.objects.get(job=job.pk).lines) for job in jobs]
    assert ["before all" in text for text in said] == [True, False]
    assert ["of a" in said[0], "of b" in said[0], "of b" in said[1], "of a" in said[1]] == [True, False, True, False]


def test_one_run_of_a_chunk_job_has_one_item() -> None:
    assert run_job(chunked.mark.s("a")) == 1
    assert run_job(chunked.mark_async.s("succeed")) == "done"
    with pytest.raises(ValueError, match="this one"):
        run_job(chunked.mark.s("fail"))


def test_a_worker_shares_a_call_among_jobs_of_one_key_only() -> None:
    jobs = chunked.send.enqueue_many([({"tenant": "abc"[at % 3], "text": ""},) for at in range(30)])
    with working(concurrency=2):
        assert {tuple(job.wait(20).result) for job in jobs} == {("a",), ("b",), ("c",)}
