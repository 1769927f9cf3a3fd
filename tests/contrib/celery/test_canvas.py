"""Chains, groups and chords as graphs of jobs: options, failures, results of steps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_jobs.contrib.celery import Celery, UnsupportedError, chain, chord, chunks, group, signature
from django_jobs.contrib.celery.exceptions import ChordError, NotRegistered
from django_jobs.models import DeadLetter, Job
from django_jobs.testing import drain

pytestmark = pytest.mark.django_db


@pytest.fixture
def add(app: Celery) -> Any:
    @app.task(name="canvas.add")
    def add(x: int, y: int = 1) -> int:
        if x < 0 and not broken.is_repaired:
            raise ValueError("negative")
        return abs(x) + y

    broken.is_repaired = False
    return add


class broken:  # noqa: N801 - a switch of the tests
    is_repaired = False


@pytest.fixture
def total(app: Celery) -> Any:
    @app.task(name="canvas.total")
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    return total


def test_a_dead_step_blocks_the_steps_after_it_until_it_is_redriven(add: Any) -> None:
    result = (add.s(-1) | add.s(10)).delay()
    drain()
    assert (result.state, result.parent.state) == ("PENDING", "FAILURE")
    with pytest.raises(ValueError, match="negative"):
        result.get(timeout=30)
    broken.is_repaired = True
    DeadLetter.objects.open().redrive()
    drain()
    assert result.get() == 12


def test_a_chord_whose_header_failed_raises_chord_error(add: Any, total: Any) -> None:
    result = chord([add.s(1), add.s(-1)], total.s())()
    drain()
    with pytest.raises(ChordError, match="negative"):
        result.get(timeout=30)


def test_options_of_a_canvas_are_those_of_its_tasks_unless_they_have_their_own(add: Any, total: Any) -> None:
    steps = chain(add.s(1), group(add.s(2), add.s(3).set(queue="own")), total.s())
    steps.apply_async(queue="all", priority=3, countdown=60)
    rows = Job.objects.order_by("pk").values_list("name", "queue_name", "priority", "state")
    assert sorted(rows) == [
        ("canvas.add", "all", 3, "blocked"),
        ("canvas.add", "all", 3, "scheduled"),
        ("canvas.add", "own", 3, "blocked"),
        ("canvas.total", "all", 3, "blocked"),
    ]


def test_signatures_are_copied_and_compared(add: Any) -> None:
    call = add.signature((2,), {"y": 3}, queue="q")
    assert call == add.s(2, y=3).set(queue="q")
    assert call.clone((1,)).args == (1, 2)
    assert add.si(2).clone((1,)).args == (2,)
    assert (call(), call.name, call.options) == (5, "canvas.add", {"queue": "q"})
    assert "2" not in repr(call)


def test_a_chain_may_hold_chains_and_the_names_of_tasks(add: Any) -> None:
    result = chain(signature("canvas.add", (1,)), add.s(2) | add.s(3), chain([add.s(4)]))()
    drain()
    assert result.get() == 11
    assert result.parent.parent.get() == 4


def test_an_unknown_name_is_refused(add: Any) -> None:
    with pytest.raises(NotRegistered, match=r"no task is named 'canvas.gone'"):
        (add.s(1) | signature("canvas.gone")).delay()
    assert not Job.objects.exists()


def test_an_empty_group_has_no_results() -> None:
    assert group().apply_async().get() == []
    assert group([]).delay().ready()


def test_a_countdown_within_a_chain_counts_from_the_end_of_the_step_before(add: Any, total: Any) -> None:
    late = timezone.now() + timedelta(days=1)
    steps = add.s(1) | group(add.s(2).set(countdown=600), add.s(y=3).set(eta=late)) | total.s()
    result = steps.delay()
    drain()
    waiting = Job.objects.filter(state="scheduled")
    assert sorted(round((job.run_after - timezone.now()) / timedelta(minutes=5)) for job in waiting) == [2, 288]
    assert {job.attempt for job in waiting} == {0}
    drain(run_scheduled=True)
    assert result.get() == (2 + 2) + (2 + 3)
    assert sorted(job.attempts.count() for job in Job.objects.all()) == [1, 1, 2, 2]


def test_an_eta_that_has_passed_by_then_is_no_wait(add: Any) -> None:
    result = (add.s(1) | add.s(2).set(eta=timezone.now() - timedelta(days=1))).delay()
    drain()
    assert result.get() == 4


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda add: chunks(add, [], 10), "enqueue_many"),
        (lambda add: group(add.s(1)).skew(), "rate_limit"),
        (lambda add: chain().delay(), "at least one task"),
        (lambda add: chord([add.s(1)]).delay(), "expected a body"),
        (chain, r"task.s\(...\)"),
        (lambda add: signature({"task": "canvas.add"}), "pass the name"),
        (lambda add: group(add.s(1)).set(link=add.s()), "link= is not supported"),
        (lambda add: add.s(1).freeze(), "headers"),
    ],
)
def test_what_is_not_supported_names_the_way(add: Any, call: Any, text: str) -> None:
    with pytest.raises(UnsupportedError, match=text):
        call(add)
