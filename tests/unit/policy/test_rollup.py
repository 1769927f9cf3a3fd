from datetime import UTC, datetime, timedelta

from django_jobs.policy.histogram import MAX_BUCKET, SPANS
from django_jobs.policy.rollup import (
    MAX_CLOCK_SKEW,
    SPAN_RETENTION,
    AttemptCount,
    Span,
    span_start,
    totals_by_span,
)

NOW = datetime(2026, 3, 4, 15, 47, 12, tzinfo=UTC)


def counted(kind="succeeded", *, ago=timedelta(0), queue="default", wait=None, run=None, number=1):
    minute = int((NOW - ago).timestamp() // 60)
    buckets = {"waits": [wait] * number if wait else [], "runs": [str(run)] * number if run else []}
    return AttemptCount(minute, queue, "sample", number, **{} if kind == "other" else {kind: number}, **buckets)


def test_each_span_has_a_retention_longer_than_the_page_that_shows_it():
    assert tuple(SPAN_RETENTION) == SPANS
    pages = {60: timedelta(hours=1), 600: timedelta(days=1), 3600: timedelta(days=7)}
    assert all(SPAN_RETENTION[span] > pages[span] for span in SPANS)


def test_counts_of_one_minute_are_added_per_queue_in_every_span():
    sums = totals_by_span(
        [
            counted(number=3, wait=1, run=2),
            counted("retried", number=2, wait=1),
            counted("dead"),
            counted("other", run=2),
            counted(queue="mail"),
        ],
        now=NOW,
    )

    assert {span.seconds for span in sums} == set(SPANS)
    one = sums[Span(600, datetime(2026, 3, 4, 15, 40, tzinfo=UTC), "default")]
    assert (one.succeeded, one.retried, one.dead) == (3, 2, 1)
    assert (one.waits, one.runs) == ({1: 5}, {2: 4})
    assert sums[Span(60, datetime(2026, 3, 4, 15, 47, tzinfo=UTC), "mail")].succeeded == 1


def test_a_span_that_would_be_pruned_is_not_created():
    assert {span.seconds for span in totals_by_span([counted(ago=timedelta(hours=4))], now=NOW)} == {
        600,
        3600,
    }
    assert {span.seconds for span in totals_by_span([counted(ago=timedelta(days=4))], now=NOW)} == {3600}
    assert not totals_by_span([counted(ago=timedelta(days=61))], now=NOW)


def test_an_end_in_the_future_is_left_out():
    assert totals_by_span([counted(ago=-MAX_CLOCK_SKEW / 2)], now=NOW)
    assert not totals_by_span([counted(ago=-3 * MAX_CLOCK_SKEW)], now=NOW)


def test_no_bucket_is_beyond_the_highest():
    (one, *_) = totals_by_span([counted(wait=999, run=MAX_BUCKET)], now=NOW).values()

    assert one.waits == one.runs == {MAX_BUCKET: 1}


def test_a_span_starts_at_a_multiple_of_itself():
    assert span_start(NOW.timestamp(), 600) == datetime(2026, 3, 4, 15, 40, tzinfo=UTC)
    assert span_start(-1, 60) == datetime(1969, 12, 31, 23, 59, tzinfo=UTC)
