"""What a job costs in a chunk whose function does not touch it, and what it has if the function does."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from django_jobs import job
from django_jobs.chunks import Chunk, ChunkItem
from django_jobs.limits import Ordering
from django_jobs.policy.decide import SUCCEEDED_WITHOUT_RESULT
from django_jobs.policy.states import State
from django_jobs.store.dialects.base.jobs import Claim, FinishedRun
from django_jobs.worker.execution.chunk import execute_chunk
from tests import factories
from tests.sampleapp import chunked
from tests.worker.contexts import RecordedEvents, make_context

pytestmark = pytest.mark.django_db(transaction=True)

CALLS_A_JOB = 3
"""Of Python functions, for a job that the chunk's function does not touch. Whoever makes do with fewer lowers it."""
CALLS_OF_A_LIMIT = 15
"""More, for a job whose definition has a limit with a key, to find that this one has none; 14 before Python 3.13."""


def _key(argument: int) -> str | None:
    return "negative" if argument < 0 else None


@job(chunk=Chunk(1_000), ordering_key=Ordering(key=_key))
def in_order(items: Sequence[ChunkItem[int]]) -> None:
    """Do nothing; negative ones one after another."""


@job(chunk=Chunk(1_000))
def told(items: Sequence[ChunkItem[int]]) -> None:
    """Tell what the claims tell."""
    chunked.kept.extend((item.job_id, item.attempt, item.enqueued) for item in items)


def _claims(definition: Any, *arguments: Any, **options: Any) -> list[Claim]:
    definition.using(**options).enqueue_many([(argument,) for argument in arguments])
    return factories.take(factories.make_worker())


def _counted_calls(claims: list[Claim]) -> int:
    """Run the claims in a chunk and return how many functions that called."""
    context = make_context(RecordedEvents())
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        execute_chunk(claims, context)
    finally:
        sys.setprofile(None)
        context.end_threads()
    return calls


def test_a_job_that_nobody_touches_costs_few_calls() -> None:
    claims = _claims(chunked.do_nothing, *range(110))
    _counted_calls(claims[:10])
    assert _counted_calls(claims) - _counted_calls(claims[:10]) <= 100 * CALLS_A_JOB


def test_jobs_that_nobody_touches_end_at_one_instant_and_share_their_decision() -> None:
    context = make_context(RecordedEvents())
    ends = execute_chunk(_claims(chunked.do_nothing, 1, 2, 3), context)
    context.end_threads()
    assert all(isinstance(end, FinishedRun) for end in ends)
    _, *others = [end for end in ends if isinstance(end, FinishedRun)]  # the call runs as the first
    assert [end.decision is SUCCEEDED_WITHOUT_RESULT for end in others] == [True, True]
    assert len({(end.started, end.finished) for end in others}) == 1


def test_items_keep_the_order_and_the_values_of_their_jobs_whatever_these_are() -> None:
    given = [1, "two\nlines", date(2026, 1, 31), "[1]", [2, {"three": None}], '"}, {"argument": "x']
    claims = _claims(chunked.tell_all, *given, metadata={"trace": "t"})
    claims[:4] = [claim._replace(metadata="{}") for claim in claims[:4]]
    context = make_context(RecordedEvents())
    ends = {end.claim.job_id: end for end in execute_chunk(claims, context) if isinstance(end, FinishedRun)}
    context.end_threads()
    results = [ends[claim.job_id].decision.result or "" for claim in claims]
    assert [bool(result) for result in results] == [False, True] * 3
    for claim, result in list(zip(claims, results, strict=True))[1::2]:
        job_id, metadata, arguments = json.loads(result)
        assert (job_id, arguments) == (claim.job_id, [str(value) for value in given])
        assert metadata == ({} if claim.metadata == "{}" else {"trace": "t"})


def test_an_item_that_is_kept_is_known_after_the_call_but_logs_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(chunked, "kept", kept)
    claims, events = _claims(chunked.keep, 1, 2), RecordedEvents()
    context = make_context(events)
    ends = execute_chunk(claims, context)
    kept[1].context.log("too late")
    kept[1].context._log.save()
    context.end_threads()
    assert len(ends) == 2
    assert kept[1].job_id == claims[1].job_id
    assert events.updates == []


def test_a_job_whose_limit_has_no_key_for_it_costs_few_calls_too() -> None:
    claims = _claims(in_order, *range(110))
    _counted_calls(claims[:10])
    assert _counted_calls(claims) - _counted_calls(claims[:10]) <= 100 * (CALLS_A_JOB + CALLS_OF_A_LIMIT)


def test_a_job_that_was_enqueued_without_a_limit_it_has_is_not_called() -> None:
    one, two = _claims(in_order, 1, 2)
    context = make_context(RecordedEvents())
    ends = execute_chunk([one, two._replace(arguments='{"argument":-1}')], context)
    context.end_threads()
    decided = {end.claim.job_id: end.decision for end in ends if isinstance(end, FinishedRun)}
    assert [decided[claim.job_id].state for claim in (one, two)] == [State.SUCCEEDED, State.BLOCKED]
    assert [need.key for need in decided[two.job_id].needs] == ["negative"]


def test_to_tell_a_job_by_its_id_makes_no_run_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(chunked, "kept", kept)
    claims = _claims(told, 1, 2, 3)
    context = make_context(RecordedEvents())
    ends = execute_chunk(claims, context)
    context.end_threads()
    assert kept == [(claim.job_id, claim.attempt, claim.enqueued) for claim in claims]
    _, *others = [end for end in ends if isinstance(end, FinishedRun)]  # the call runs as the first
    assert [end.decision is SUCCEEDED_WITHOUT_RESULT for end in others] == [True, True]
