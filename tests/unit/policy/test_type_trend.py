from collections import Counter

import pytest

from django_jobs.policy.type_rollup import TypeTotals
from django_jobs.policy.type_trend import Mark, compare, failure_rate


def totals(ended, failed=0, bucket=10):
    return TypeTotals(ended - failed, failed, 0, 1.0, Counter(), Counter({bucket: ended}))


@pytest.mark.parametrize(
    ("now", "before", "mark"),
    [
        (totals(1000, 61), totals(1000, 4), Mark.FAILS_MORE),
        (totals(10, 1), totals(10, 0), Mark.SAME),
        (totals(100_000, 400), totals(100_000, 200), Mark.SAME),
        (totals(100, bucket=20), totals(100, bucket=10), Mark.SLOWER),
        (totals(10, bucket=20), totals(100, bucket=10), Mark.SAME),
        (totals(100, bucket=10), totals(100, bucket=20), Mark.BETTER),
        (totals(1000, 4), totals(1000, 61), Mark.BETTER),
        (totals(5), totals(0), Mark.NEW),
        (totals(1000, 61, bucket=20), totals(1000, 4), Mark.FAILS_MORE),
        (totals(0), totals(3), Mark.SAME),
    ],
)
def test_a_type_is_marked_by_what_chance_does_not_explain(now, before, mark):
    assert compare(now, before).mark is mark


def test_more_failures_are_graver_than_slowness_and_that_than_nothing():
    fails, slow, same = (
        compare(totals(1000, 61), totals(1000, 4)),
        compare(totals(100, bucket=80), totals(100, bucket=10)),
        compare(totals(100, 1), totals(100, 1)),
    )
    assert fails.severity > slow.severity > same.severity


def test_a_type_that_did_not_end_has_no_failure_rate():
    assert failure_rate(TypeTotals()) == 0
    assert failure_rate(totals(8, 2)) == 0.25
