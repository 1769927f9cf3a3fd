"""Chains, groups, chords and graphs as they are written, and run to their end by the engine."""

from __future__ import annotations

import inspect
import sys
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from django_jobs import chain, chord, group
from django_jobs.exceptions import (
    ArgumentsError,
    ConfigurationError,
    InvalidGraphError,
    PayloadTooLargeError,
    ResultNotPassedError,
)
from django_jobs.models import DeadLetter, Dependency, Job
from django_jobs.store.lifecycle.purge import delete_jobs
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.replay import replay
from django_jobs.testing import drain
from django_jobs.workflows import RESULT, Graph, result_of
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

pytestmark = pytest.mark.django_db


def results(jobs: list[Job]) -> list[Any]:
    drain()
    return [job.refresh().result for job in jobs]


def test_a_chain_passes_each_result_on_as_the_first_argument() -> None:
    jobs = chain(sample.add.s(1, 2), sample.add.s(10), sample.add.s(100)).enqueue()
    assert [job.state for job in jobs] == ["ready", "blocked", "blocked"]
    assert results(jobs) == [3, 13, 113]


def test_a_call_says_where_the_result_goes_or_that_it_does_not() -> None:
    jobs = chain(
        sample.add.s(1),
        sample.add.s(5, second=RESULT),
        sample.echo.s({"deep": [RESULT, "x"]}),
        sample.echo.s("mine").without_result(),
    ).enqueue()
    assert results(jobs) == [1, 6, {"deep": [6, "x"]}, "mine"]


def test_what_follows_a_group_gets_the_list_of_what_it_returned_in_order() -> None:
    *_, last = jobs = chord(group(sample.echo.s(n) for n in (3, 1, 2)), sample.add_all.s(10)).enqueue()
    assert results(jobs) == [3, 1, 2, 16]
    assert last.arguments == {"numbers": {"$type": "result", "of": None}, "extra": 10}


def test_a_group_of_one_is_a_list_of_one_and_each_of_a_group_gets_what_stands_before() -> None:
    assert results(chord([sample.echo.s(7)], sample.add_all.s()).enqueue()) == [7, 7]
    jobs = chain(sample.echo.s(1), group(sample.add.s(1), sample.add.s(2)), sample.add_all.s()).enqueue()
    assert results(jobs) == [1, 2, 3, 5]


def test_chains_in_groups_and_groups_in_chains() -> None:
    jobs = chain(
        group(chain(sample.echo.s(1), sample.add.s(1)), group(sample.echo.s(5), chain(sample.echo.s(6)))),
        group(sample.add_all.s(), sample.add_all.s(100)),
        chain(sample.add_all.s(), sample.add.s(1000)),
    ).enqueue()
    assert results(jobs) == [1, 2, 5, 6, 13, 113, 126, 1126]


def test_models_and_dates_come_through() -> None:
    ada = Customer.objects.create(name="Ada")
    jobs = chain(sample.echo.s(ada), sample.greet.s()).enqueue()
    assert results(jobs) == [ada, "Hello Ada"]
    jobs = chain(sample.echo.s({"$type": "result", "of": 0, "days": timedelta(days=2)}), sample.echo.s()).enqueue()
    assert results(jobs)[1] == {"$type": "result", "of": 0, "days": timedelta(days=2)}


def test_async_jobs_are_given_results_too() -> None:
    assert results(chain(sample.echo_async.s(5), sample.echo_async.s()).enqueue()) == [5, 5]


@pytest.mark.slow
def test_a_long_chain_needs_no_deep_stack() -> None:
    links, limit = 150, sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + links - 50)
    try:
        jobs = chain(sample.add.s(0, 1), *[sample.add.s(1)] * (links - 1)).enqueue()
        assert Dependency.objects.count() == links - 1
        assert results(jobs)[-1] == links
    finally:
        sys.setrecursionlimit(limit)


def test_a_graph_of_any_shape() -> None:
    graph = Graph()
    one = graph.add(sample.echo.s(1))
    two = graph.add(sample.add.s(one.result, 1))
    last = graph.add(sample.add.s(second=one.result, first=two.result))
    both = graph.add(sample.echo.s(RESULT), after=[one, two])
    silent = graph.add(sample.echo.s("alone"), after=[last])
    last.after(both)
    jobs = graph.enqueue()
    assert [Dependency.objects.filter(job=job).count() for job in jobs] == [0, 1, 3, 2, 1]
    assert results(jobs) == [1, 2, 3, [1, 2], "alone"]
    assert repr(silent) == "<node of tests.sampleapp.jobs.echo>"


def test_a_job_enqueued_before_may_be_waited_for_anywhere() -> None:
    before = sample.echo.enqueue(5)
    alone = sample.add.after(before).enqueue(result_of(before), 1)
    jobs = chain(sample.echo.s(1), sample.echo.after(before).s([RESULT, result_of(before)])).enqueue()
    both = sample.echo.after(before).after(alone).enqueue(RESULT)
    assert results([before, alone, *jobs, both]) == [5, 6, 1, [1, 5], [5, 6]]


def test_each_of_many_waits_for_the_same() -> None:
    before = sample.echo.enqueue(5)
    many = sample.add.after(before).enqueue_many([(1,), {"first": result_of(before)}])
    assert [job.state for job in many] == ["blocked", "blocked"]
    assert results(many) == [1, 5]


def test_nothing_is_enqueued_before_enqueue_is_called() -> None:
    steps = chain(sample.echo.s(1), sample.echo.s())
    assert not Job.objects.exists()
    assert len(steps.enqueue()) == len(steps.enqueue()) == 2
    assert Job.objects.count() == 4


def test_options_travel_with_a_call() -> None:
    first, second = chain(
        sample.echo.using(priority=7, queue_name="mail").s(1),
        sample.echo.s().using(max_attempts=1, metadata={"why": "test"}),
    ).enqueue()
    assert (first.priority, first.queue_name) == (7, "mail")
    assert (second.max_attempts, second.metadata, second.state) == (1, {"why": "test"}, "blocked")


@pytest.mark.django_db(transaction=True)
def test_asynchronous_code_enqueues_them_too() -> None:
    async def enqueue() -> list[Job]:
        graph = Graph()
        graph.add(sample.echo.s(1))
        return [
            *await graph.aenqueue(),
            *await chain(sample.echo.s(1), sample.echo.s()).aenqueue(),
            await sample.echo.s(3).aenqueue(),
        ]

    assert len(async_to_sync(enqueue)()) == 4


class TestAResultThatCannotBePassedOn:
    def test_one_that_could_not_be_stored_makes_a_dead_letter_that_says_so(self) -> None:
        first, second = chain(sample.return_too_much.s(), sample.echo.s()).enqueue()
        drain()
        letter = DeadLetter.objects.get(job=second.pk)
        assert letter.reason == "unreadable"
        assert letter.error_class == "django_jobs.exceptions.ResultNotPassedError"
        assert f"the result of job {first.pk} (tests.sampleapp.jobs.return_too_much) cannot" in letter.error_message
        assert "RESULTS['MAX_BYTES']" in letter.error_message

    def test_nor_can_that_of_a_job_whose_row_is_gone(self) -> None:
        first, second = chain(sample.echo.s(1), sample.echo.s()).enqueue()
        drain()
        Job.objects.filter(pk=second.pk).update(state="ready", attempt=0, finished_at=None)
        delete_jobs([first.pk], using="default")
        drain()
        assert f"the result of job {first.pk} cannot be passed on: the job is deleted" in str(second.refresh().error)

    def test_nor_can_one_that_nobody_waited_for(self) -> None:
        job = sample.echo.enqueue()
        for arguments, message in (
            ({"value": {"$type": "result", "of": 3}}, "predecessor 3 is needed; the job has 0 of them"),
            ({"value": {"$type": "result", "of": True}}, "predecessor True is needed"),
        ):
            Job.objects.filter(pk=job.pk).update(arguments=arguments, state="ready", attempt=0)
            drain()
            assert message in str(job.refresh().error)

    def test_a_dead_predecessor_that_is_redriven_passes_its_result_on(self, tmp_path: Any) -> None:
        first, second = chain(sample.fail_unless.s(str(tmp_path / "it")), sample.echo.s()).enqueue()
        drain()
        assert (first.refresh().state, second.refresh().state) == ("dead", "blocked")
        (tmp_path / "it").touch()
        redrive(first)
        assert results([second]) == ["it is there"]


def test_a_copy_has_the_results_themselves() -> None:
    _, second = chain(sample.add.s(1, 2), sample.add.s(10)).enqueue()
    drain()
    (copy,) = replay(second)
    assert Job.objects.get(pk=copy).arguments == {"first": 3, "second": 10}
    drain()
    assert Job.objects.get(pk=copy).result == 13


def test_a_copy_of_one_that_still_waits_is_refused_with_the_reason() -> None:
    first, second = chain(sample.add.s(1, 2), sample.add.s(10)).enqueue()
    with pytest.raises(ResultNotPassedError, match=rf"the result of job {first.pk} .* the job is ready"):
        replay(second)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (chain, InvalidGraphError, "chain: expected at least one job, got none"),
        (lambda: group(()), InvalidGraphError, "group: expected at least one job"),
        (
            lambda: chain(print),
            ConfigurationError,
            r"expected a job with its arguments, job.s\(...\), got <built-in",
        ),
        (
            lambda: chain(sample.echo),
            ConfigurationError,
            r"got <job .*echo>; call its s\(...\) with the arguments",
        ),
        (
            lambda: chord(group(sample.echo.s()), 7),
            ConfigurationError,
            "chord: expected a job with its arguments",
        ),
        (lambda: Graph(on_dead="explode"), ConfigurationError, "expected 'block' or 'cancel', got 'explode'"),
        (
            lambda: Graph().add(sample.echo),
            ConfigurationError,
            "Graph.add: expected a job with its arguments",
        ),
        (lambda: sample.echo.after(7), ConfigurationError, "expected jobs that were enqueued before, got 7"),
        (lambda: sample.echo.after(sample.echo.s()), ConfigurationError, "got <call of tests"),
        (
            lambda: sample.echo.after(Customer.objects.create(name="x")),
            ConfigurationError,
            "expected jobs that were enqueued before",
        ),
        (
            lambda: chain(sample.echo.s(RESULT)).enqueue(),
            InvalidGraphError,
            "RESULT needs a job to wait for",
        ),
        (
            lambda: chain(sample.echo.s(), sample.do_nothing.s()).enqueue(),
            ArgumentsError,
            r"too many positional arguments .*\.without_result\(\) leaves it out",
        ),
        (
            lambda: chain(sample.named.s(value=1), sample.named.s(value=2)).enqueue(),
            ArgumentsError,
            "multiple values",
        ),
        (
            lambda: chain(sample.named.s(), sample.echo.s()).enqueue(),
            ArgumentsError,
            "missing a required argument",
        ),
        (
            lambda: group([sample.echo.s()] * 100_000).enqueue(),
            InvalidGraphError,
            "at most 20,000 jobs in a graph, got",
        ),
        (
            lambda: chain(*[group([sample.echo.s()] * 400)] * 2).enqueue(),
            InvalidGraphError,
            "at most 100,000 edges in a graph, got 160,000",
        ),
        (
            lambda: chord([sample.echo.s("x" * 1_000_001)], sample.add_all.s()).enqueue(),
            PayloadTooLargeError,
            "MAX_PAYLOAD_BYTES",
        ),
    ],
)
def test_bad_input_is_refused_by_name_and_leaves_nothing(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()
    assert not Job.objects.exists()


def test_a_circle_is_refused_and_named() -> None:
    graph = Graph()
    one = graph.add(sample.echo.s(1))
    other = graph.add(sample.add.s(one.result))
    one.after(other)
    with pytest.raises(InvalidGraphError, match=r"no circle, got .*echo waits for .*add waits for .*echo"):
        graph.enqueue()


def test_nodes_of_another_graph_and_results_of_strangers_are_refused() -> None:
    one, other = Graph(), Graph()
    stranger = other.add(sample.echo.s(1))
    one.add(sample.echo.s(stranger.result))
    with pytest.raises(InvalidGraphError, match="expected nodes of one graph"):
        one.enqueue()
    before, unnamed = sample.echo.enqueue(1), sample.echo.enqueue(2)
    with pytest.raises(InvalidGraphError, match=r"expected result_of\(...\) of a job that it waits for"):
        sample.echo.after(before).enqueue(result_of(unnamed))


def test_steps_too_deep_in_one_another_are_refused() -> None:
    def nest(depth: int) -> Any:
        steps: Any = sample.echo.s(1)
        for at in range(depth):
            steps = group(steps, sample.echo.s()) if at % 2 else chain(steps, sample.echo.s())
        return steps

    assert nest(99).depth == 99
    with pytest.raises(InvalidGraphError, match="at most 100 deep"):
        nest(101)


def test_a_cancelled_chain_takes_those_that_a_death_cancels_with_it() -> None:
    first, second, third = chain(sample.discard.s("no"), sample.echo.s(), sample.echo.s()).enqueue(on_dead="cancel")
    drain()
    assert [job.refresh().state for job in (first, second, third)] == ["dead", "cancelled", "cancelled"]
