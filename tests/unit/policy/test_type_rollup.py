from collections import Counter
from datetime import UTC, datetime, timedelta

from django_jobs.policy.rollup import AttemptCount
from django_jobs.policy.type_rollup import (
    MAX_TYPES,
    OTHER_TYPES,
    TYPE_SPANS,
    TypeSpan,
    TypeTotals,
    add_types,
    limit_types,
    longer_span,
    totals_by_type,
    type_totals,
)

NOW = datetime(2026, 3, 4, 15, 47, 12, tzinfo=UTC)


def counted(name="sample", number=1, *, ago=timedelta(0), **numbers):
    return AttemptCount(int((NOW - ago).timestamp() // 60), "default", name, number, **numbers)


def test_counts_of_one_type_in_different_queues_and_minutes_are_added():
    spans = totals_by_type(
        [
            counted(succeeded=3, run_seconds=1.5, waits=["1", "1", "2"]),
            counted(retried=1, ago=timedelta(minutes=3), runs=["9"]),
            counted("other", succeeded=1),
            counted(dead=1, ago=timedelta(minutes=30)),
        ],
        now=NOW,
    )

    now = TypeSpan(600, datetime(2026, 3, 4, 15, 40, tzinfo=UTC))
    assert set(spans) == {now, TypeSpan(600, datetime(2026, 3, 4, 15, 10, tzinfo=UTC))}
    sample = spans[now]["sample"]
    assert (sample.succeeded, sample.retried, sample.dead, sample.run_seconds) == (3, 1, 0, 1.5)
    assert (sample.waits, sample.runs) == ({1: 2, 2: 1}, {9: 1})


def test_an_end_that_would_be_pruned_or_is_in_the_future_is_left_out():
    assert totals_by_type([counted(ago=timedelta(days=59))], now=NOW)
    assert not totals_by_type([counted(ago=timedelta(days=61))], now=NOW)
    assert not totals_by_type([counted(ago=-timedelta(hours=3))], now=NOW)


def test_added_totals_are_stored_totals_and_more():
    added = totals_by_type(
        [counted(number=2, succeeded=2, run_seconds=0.5, waits=["3", "4"], runs=["7", "7"])], now=NOW
    )
    (totals,) = added.values()
    once = add_types({}, totals)
    twice = add_types(once, totals)

    assert once == {"sample": [2, 0, 0, 0.5, [3, 1, 4, 1], [7, 2]]}
    assert type_totals(twice["sample"]) == TypeTotals(4, 0, 0, 1.0, Counter({3: 2, 4: 2}), Counter({7: 4}))


def test_a_job_that_was_deleted_counts_under_other_types():
    (types,) = totals_by_type([counted("", succeeded=1)], now=NOW).values()

    assert set(types) == {OTHER_TYPES}


def test_of_too_many_types_the_rest_is_summed():
    types = {f"type_{number:04}": [number, 1, 0, 0.25, [5, 1], []] for number in range(MAX_TYPES + 20)}
    types[OTHER_TYPES] = [100_000, 0, 0, 1.0, [5, 2, 6, 1], []]

    limited = limit_types(types)

    assert len(limited) == MAX_TYPES + 1
    assert set(types) - set(limited) == {f"type_{number:04}" for number in range(20)}
    assert limited[OTHER_TYPES] == [100_000 + sum(range(20)), 20, 0, 6.0, [5, 22, 6, 1], []]
    assert sum(sum(totals[:3]) for totals in limited.values()) == sum(sum(totals[:3]) for totals in types.values())


def test_a_longer_span_contains_the_shorter():
    shortest = TypeSpan(600, datetime(2026, 3, 4, 15, 40, tzinfo=UTC))
    hour = longer_span(shortest)

    assert hour == TypeSpan(3600, datetime(2026, 3, 4, 15, tzinfo=UTC))
    assert longer_span(hour) == TypeSpan(86_400, datetime(2026, 3, 4, tzinfo=UTC))
    assert longer_span(longer_span(hour)) is None


def test_hours_are_stored_until_the_same_hour_of_the_day_before_is_over():
    assert TYPE_SPANS[3600] >= timedelta(hours=48)
