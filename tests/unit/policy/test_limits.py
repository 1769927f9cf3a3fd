"""The mathematics of limits, with a clock that the tests turn."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.limits import (
    UNBOUNDED,
    CircuitBreaker,
    Concurrency,
    LimitKind,
    LimitRule,
    LimitState,
    Ordering,
    PermitPhase,
    RateLimit,
    RunEnding,
    after_attempts,
    available_permits,
    parse_rate,
    permit_transition,
    required_permit,
)

BREAKER = CircuitBreaker(failures=3, within=timedelta(seconds=60), open_for=timedelta(seconds=30)).rule()


@pytest.mark.parametrize(
    ("text", "count", "per"),
    [
        ("10/s", 10, timedelta(seconds=1)),
        ("100/m", 100, timedelta(minutes=1)),
        ("5/10s", 5, timedelta(seconds=10)),
        (" 1000 / hour ", 1000, timedelta(hours=1)),
        ("2/7d", 2, timedelta(days=7)),
    ],
)
def test_a_rate_is_read_from_text(text, count, per):
    assert parse_rate(text) == RateLimit(count, per=per)


@pytest.mark.parametrize("text", ["", "10", "10/", "/s", "ten/s", "10/fortnight", "-1/s", "1.5/s", "10/s/s"])
def test_text_that_is_not_a_rate_is_refused_with_examples(text):
    with pytest.raises(ValueError, match='expected a rate such as "10/s"'):
        parse_rate(text)


@pytest.mark.parametrize("text", ["0/s", "10/0s", "1000000/s"])
def test_a_rate_out_of_bounds_is_refused_naming_what_was_expected(text):
    with pytest.raises(ValueError, match=r"(count|per): expected"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("make", "option"),
    [
        (lambda: RateLimit(0), "count"),
        (lambda: RateLimit(True), "count"),
        (lambda: RateLimit(5, per=timedelta(0)), "per"),
        (lambda: RateLimit(5, per="1"), "per"),
        (lambda: RateLimit(5, burst=0), "burst"),
        (lambda: RateLimit(1, per=timedelta(days=300), burst=100), "burst"),
        (lambda: RateLimit(5, counts_from="middle"), "counts_from"),
        (lambda: RateLimit(5, key=7), "key"),
        (lambda: RateLimit(5, name=""), "name"),
        (lambda: Concurrency("3"), "limit"),
        (lambda: Ordering(key=3), "key"),
        (lambda: CircuitBreaker(failures=0), "failures"),
        (lambda: CircuitBreaker(failures=3, within=timedelta(0)), "within"),
        (lambda: CircuitBreaker(failures=3, open_for="60"), "open_for"),
    ],
)
def test_a_wrong_option_is_refused_by_name(make, option):
    with pytest.raises(ValueError, match=rf"^{option}: expected .*[,;] got "):
        make()


def test_a_burst_is_more_at_once_in_a_span_that_is_longer_by_as_much():
    rule = RateLimit(5, per=timedelta(seconds=1), burst=20).rule()

    assert (rule.capacity, rule.window_seconds) == (20, 4.0)


@pytest.mark.parametrize(
    "limit",
    [
        RateLimit(5, burst=7, counts_from="start"),
        Concurrency(3),
        Ordering(key="a", release_on_retry=True),
        CircuitBreaker(failures=2),
    ],
)
def test_a_rule_comes_back_from_what_is_stored(limit):
    assert LimitRule.from_json(limit.rule().as_json()) == limit.rule()


def test_a_limit_has_one_id_for_each_kind_name_and_key():
    rule = Concurrency(1).rule()
    ids = {
        required_permit(each_rule, name=name, key=key).limit_id
        for each_rule in (rule, RateLimit(1).rule())
        for name, key in (("a", "b"), ("ab", ""), ("", "ab"), ("a", "c"))
    }

    assert len(ids) == 8
    assert required_permit(rule, name="a", key="b") == required_permit(rule, name="a", key="b")
    assert all(-(2**63) <= limit_id < 2**63 for limit_id in ids)


@given(
    count=st.integers(1, 5),
    per=st.integers(1, 20),
    burst=st.none() | st.integers(1, 12),
    work=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), max_size=80),
    calls_at=st.floats(0, 1),
)
def test_no_sliding_window_has_more_calls_than_the_rate_allows(count, per, burst, work, calls_at):
    """Jobs come, each runs for a while, and calls the other server once at any moment of its run."""
    rate = RateLimit(count, per=timedelta(seconds=per), burst=burst)
    rule = rate.rule()
    now, running, cooling, calls = 0.0, [], [], []
    for gap, length in work:
        now += gap
        cooling += [end + rule.window_seconds for end in running if end <= now]
        running = [end for end in running if end > now]
        cooling = [free_at for free_at in cooling if free_at > now]
        if available_permits(rule, LimitState(), used=len(running) + len(cooling), now=now) > 0:
            running.append(now + length)
            calls.append(now + calls_at * length)
    window = rate.window.total_seconds()
    most = burst or count
    for first in calls:
        assert sum(first <= call < first + window for call in calls) <= most


@given(used=st.integers(0, 20), most=st.integers(1, 10))
def test_held_and_admitted_permits_never_exceed_the_limit_unless_it_was_lowered(used, most):
    given_out = available_permits(Concurrency(most).rule(), LimitState(), used=used, now=0.0)

    assert given_out >= 0
    assert used + given_out == max(used, most)


def test_a_closed_limit_has_no_room_until_its_time_has_come():
    rule, state = RateLimit(5).rule(), LimitState(closed_until=100.0)

    assert available_permits(rule, state, used=0, now=99.9) == 0
    assert available_permits(rule, state, used=0, now=100.0) == 5


class TestBreaker:
    def test_a_closed_breaker_admits_all(self):
        assert available_permits(BREAKER, LimitState(), used=1_000, now=0.0) == UNBOUNDED - 1_000

    def test_a_breaker_opens_with_the_last_of_its_failures(self):
        state = after_attempts(BREAKER, LimitState(), failed_at=[10.0, 11.0], succeeded=True)
        assert not state.tripped
        state = after_attempts(BREAKER, state, failed_at=[12.0], succeeded=False)

        assert state == LimitState(closed_until=42.0, tripped=True)
        assert available_permits(BREAKER, state, used=0, now=41.9) == 0

    def test_failures_further_apart_than_the_span_do_not_add_up(self):
        state = LimitState()
        for at in (0.0, 31.0, 62.0, 93.0):
            state = after_attempts(BREAKER, state, failed_at=[at], succeeded=False)

        assert not state.tripped

    def test_after_open_for_a_breaker_admits_one_job(self):
        state = LimitState(closed_until=42.0, tripped=True)

        assert available_permits(BREAKER, state, used=0, now=42.0) == 1
        assert available_permits(BREAKER, state, used=1, now=42.0) == 0

    def test_that_job_decides(self):
        state = LimitState(closed_until=42.0, tripped=True)

        assert after_attempts(BREAKER, state, failed_at=[], succeeded=True) == LimitState()
        again = after_attempts(BREAKER, state, failed_at=[50.0], succeeded=False)
        assert again == LimitState(closed_until=80.0, tripped=True)
        assert after_attempts(BREAKER, state, failed_at=[], succeeded=False) == state

    @given(st.lists(st.floats(0, 1000), max_size=40))
    def test_a_breaker_opens_exactly_if_enough_failures_are_within_its_span(self, failures):
        state, seen = LimitState(), []
        for at in sorted(failures):
            seen.append(at)
            state = after_attempts(BREAKER, state, failed_at=[at], succeeded=False)
            expected = len([failed_at for failed_at in seen if failed_at > at - 60.0]) >= 3
            assert state.tripped is expected
            if state.tripped:
                return


class TestFate:
    @pytest.mark.parametrize("kind", list(LimitKind))
    def test_a_job_released_before_its_start_keeps_its_permits(self, kind):
        assert permit_transition(LimitRule(kind=kind, capacity=1), RunEnding.RELEASED) == (
            PermitPhase.HELD,
            False,
        )

    @pytest.mark.parametrize("kind", [LimitKind.ORDER, LimitKind.CONCURRENCY, LimitKind.BREAKER])
    def test_a_finished_job_needs_no_permits(self, kind):
        assert permit_transition(LimitRule(kind=kind, capacity=1), RunEnding.FINISHED) == (None, False)

    @pytest.mark.parametrize(
        ("ending", "phase", "cools"),
        [
            (RunEnding.FINISHED, PermitPhase.COOLING, False),
            (RunEnding.RETRY, PermitPhase.ASLEEP, True),
            (RunEnding.DEAD, PermitPhase.ASLEEP, True),
            (RunEnding.NOT_STARTED, PermitPhase.ASLEEP, False),
        ],
    )
    def test_a_run_under_a_rate_limit_counts_for_the_whole_window_if_it_started(self, ending, phase, cools):
        assert permit_transition(RateLimit(1).rule(), ending) == (phase, cools)

    def test_a_failed_job_keeps_its_turn_unless_it_releases_on_retry(self):
        assert permit_transition(Ordering(key="a").rule(), RunEnding.RETRY).phase is PermitPhase.HELD
        assert (
            permit_transition(Ordering(key="a", release_on_retry=True).rule(), RunEnding.RETRY).phase
            is PermitPhase.ASLEEP
        )
        assert permit_transition(Ordering(key="a").rule(), RunEnding.DEAD).phase is PermitPhase.ASLEEP

    def test_a_dead_job_keeps_its_turn_if_it_holds_when_dead(self):
        rule = Ordering(key="a", hold_when_dead=True).rule()
        assert permit_transition(rule, RunEnding.DEAD).phase is PermitPhase.HELD
        assert permit_transition(rule, RunEnding.RETRY).phase is PermitPhase.HELD
        assert permit_transition(rule, RunEnding.FINISHED).phase is None

    @pytest.mark.parametrize("given", [{"hold_when_dead": 1}, {"hold_when_dead": True, "release_on_retry": True}])
    def test_an_ordering_that_cannot_hold_is_refused(self, given):
        with pytest.raises(ValueError, match="hold_when_dead: expected"):
            Ordering(key="a", **given)
