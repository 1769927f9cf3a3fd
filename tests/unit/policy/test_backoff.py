import math
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.backoff import Constant, Exponential, Linear
from django_jobs.policy.backoff import FixedWaits, as_backoff, retry_delay
from django_jobs.policy.durations import MAX_DURATION

SECOND = timedelta(seconds=1)
attempts = st.integers(1, 10_000)
seeds = st.integers(0, 2**32)


class FixedRandom(Random):
    """Gives one number for ever: 0 is the shortest wait, nearly 1 the longest."""

    def __init__(self, number):
        super().__init__(0)
        self.number = number

    def random(self):
        return self.number


MIDDLE = FixedRandom(0.5)


def waited(backoff, *, exception=None, context=None, attempt=1, random=MIDDLE):
    return retry_delay(
        backoff, exception=exception or ValueError("no"), context=context, attempt=attempt, random=random
    )


def test_the_default_waits_5_25_125_and_625_seconds():
    waits = [Exponential().wait(attempt, MIDDLE) for attempt in (1, 2, 3, 4)]

    assert waits == [5 * SECOND, 25 * SECOND, 125 * SECOND, 625 * SECOND]


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 5), (2, 25), (3, 125), (4, 625)])
def test_the_default_spreads_each_wait_by_a_tenth_both_ways(attempt, seconds):
    shortest = Exponential().wait(attempt, FixedRandom(0.0)).total_seconds()
    longest = Exponential().wait(attempt, FixedRandom(math.nextafter(1, 0))).total_seconds()

    assert shortest == pytest.approx(seconds * 0.9)
    assert longest == pytest.approx(seconds * 1.1)


def test_the_default_stops_growing_at_six_hours():
    assert [Exponential().wait(attempt, MIDDLE) for attempt in (6, 7, 100, 10_000)] == [
        timedelta(seconds=15_625),
        timedelta(hours=6),
        timedelta(hours=6),
        timedelta(hours=6),
    ]


@given(attempt=attempts, seed=seeds, factor=st.floats(1, 1e300), jitter=st.floats(0, 1))
def test_an_exponential_wait_is_never_negative_nor_over_its_maximum_and_jitter(attempt, seed, factor, jitter):
    backoff = Exponential(first=SECOND, factor=factor, maximum=timedelta(minutes=1), jitter=jitter)

    wait = backoff.wait(attempt, Random(seed))

    assert timedelta(0) <= wait <= timedelta(minutes=2)


@given(attempt=attempts, seed=seeds)
def test_no_wait_is_longer_than_ten_years(attempt, seed):
    for backoff in (
        Exponential(maximum=MAX_DURATION, jitter=1),
        Linear(step=timedelta(days=365), maximum=MAX_DURATION, jitter=1),
        Constant(MAX_DURATION, jitter=1),
        as_backoff([MAX_DURATION]),
    ):
        assert backoff.wait(attempt, Random(seed)) <= MAX_DURATION


def test_a_linear_wait_grows_by_its_step_up_to_its_maximum():
    backoff = Linear(first=10 * SECOND, step=5 * SECOND, maximum=22 * SECOND, jitter=0)

    assert [backoff.wait(attempt, MIDDLE) for attempt in (1, 2, 3, 4, 5)] == [
        10 * SECOND,
        15 * SECOND,
        20 * SECOND,
        22 * SECOND,
        22 * SECOND,
    ]


def test_a_constant_wait_is_always_the_same_unless_it_is_spread():
    assert {Constant(3 * SECOND).wait(attempt, Random(attempt)) for attempt in range(1, 20)} == {3 * SECOND}
    assert Constant(10 * SECOND, jitter=0.5).wait(1, FixedRandom(0.0)) == 5 * SECOND


def test_listed_waits_are_taken_one_after_another_and_the_last_again():
    backoff = as_backoff([1, timedelta(seconds=2), 3.5])

    assert [backoff.wait(attempt, MIDDLE) for attempt in (1, 2, 3, 4, 50)] == [
        SECOND,
        2 * SECOND,
        3.5 * SECOND,
        3.5 * SECOND,
        3.5 * SECOND,
    ]


def test_a_callable_gets_the_exception_and_the_context():
    seen = []

    def ask(exception, context):
        seen.append((exception, context))
        return 7

    error = KeyError("x")

    assert waited(as_backoff(ask), exception=error, context="the context") == 7 * SECOND
    assert seen == [(error, "the context")]


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (None, None),
        (0, timedelta(0)),
        (1.5, 1.5 * SECOND),
        (timedelta(minutes=1), timedelta(minutes=1)),
        (1e300, MAX_DURATION),
        (timedelta.max, MAX_DURATION),
    ],
)
def test_a_callable_may_return_a_timedelta_seconds_or_none_for_never(answer, wait):
    assert waited(lambda exception, context: answer) == wait


@pytest.mark.parametrize("answer", ["soon", True, [5]])
def test_a_callable_that_returns_another_type_is_an_error(answer):
    with pytest.raises(ValueError, match=r"^backoff: expected a timedelta or seconds, zero or more; got"):
        waited(lambda exception, context: answer)


@pytest.mark.parametrize("answer", [-1, math.nan, math.inf, -SECOND])
def test_a_callable_that_returns_an_unusable_number_is_an_error(answer):
    with pytest.raises(ValueError, match=r"^backoff: expected a timedelta or seconds, zero or more; got"):
        waited(lambda exception, context: answer)


def test_an_exception_of_a_callable_is_raised():
    def broken(exception, context):
        raise ZeroDivisionError("its own error")

    with pytest.raises(ZeroDivisionError, match="its own error"):
        waited(broken)


@pytest.mark.parametrize("backoff", [Exponential(), Linear(), Constant(SECOND), FixedWaits((SECOND,))])
def test_a_backoff_value_is_taken_as_it_is(backoff):
    assert as_backoff(backoff) is backoff


@pytest.mark.parametrize("option", [True, "soon", None, {5}])
def test_an_option_that_is_not_a_backoff_is_refused_with_the_alternatives(option):
    with pytest.raises(
        ValueError, match=r"expected Exponential, Linear, Constant, a .*, a list .* or a callable .*; got"
    ):
        as_backoff(option)


@pytest.mark.parametrize("option", [5, 5.0, timedelta(seconds=5)])
def test_one_wait_alone_is_constant(option):
    assert as_backoff(option) == Constant(5) == Constant(5 * SECOND)


def test_an_empty_list_is_refused():
    with pytest.raises(ValueError, match=r"backoff: expected at least one wait, got \[\]"):
        as_backoff([])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Exponential(first=timedelta(0)), "first: expected a timedelta or seconds, above zero"),
        (lambda: Exponential(factor=0.5), "factor: expected a number of at least 1, got 0.5"),
        (lambda: Exponential(factor=math.nan), "factor: expected a number of at least 1, got nan"),
        (lambda: Exponential(maximum=SECOND), "maximum: expected no less than first, got"),
        (lambda: Exponential(jitter=1.1), "jitter: expected a share from 0 to 1, got 1.1"),
        (lambda: Exponential(jitter=-0.1), "jitter: expected a share from 0 to 1, got -0.1"),
        (lambda: Linear(first=-SECOND), "first: expected a timedelta or seconds, zero or more"),
        (lambda: Linear(step=-SECOND), "step: expected a timedelta or seconds, zero or more"),
        (lambda: Linear(maximum=SECOND), "maximum: expected no less than first, got"),
        (lambda: Linear(jitter=2), "jitter: expected a share from 0 to 1, got 2"),
        (lambda: Constant(-SECOND), "delay: expected a timedelta or seconds, zero or more"),
        (lambda: Constant(SECOND, jitter=2), "jitter: expected a share from 0 to 1, got 2"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Exponential(first="5"), "first: expected a timedelta or seconds, above zero"),
        (lambda: Exponential(factor="5"), "factor: expected a number of at least 1, got '5'"),
        (lambda: Exponential(maximum=1), "maximum: expected no less than first, got"),
        (lambda: Linear(jitter=True), "jitter: expected a share from 0 to 1, got True"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_backoff_class_without_parentheses_is_refused():
    with pytest.raises(ValueError, match="expected Exponential, Linear, Constant"):
        as_backoff(Exponential)
