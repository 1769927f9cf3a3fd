"""The totals of job types: folded with those of the queues, moved into longer spans as they get older."""

from collections import Counter
from datetime import timedelta

import pytest

from django_jobs.models import Job, RollupPosition, TypeRollup
from django_jobs.policy import type_rollup as policy
from django_jobs.policy.histogram import bucket_of
from django_jobs.policy.type_rollup import OTHER_TYPES, type_totals
from django_jobs.store.stats import rollup, type_rollup
from django_jobs.store.stats.rollup import roll_up
from django_jobs.store.stats.type_rollup import move_old_types
from tests.crashing import crash_at_every_point
from tests.factories import ago, make_attempt, make_job, make_letter

pytestmark = pytest.mark.django_db
NOW = timedelta(0)


def total():
    """Return what the rows of all spans add up to, by type."""
    sums = {}
    for row in TypeRollup.objects.all():
        for name, stored in row.types.items():
            sums.setdefault(name, policy.TypeTotals()).merge(type_totals(stored))
    return sums


def numbers():
    return {name: (totals.succeeded, totals.retried, totals.dead) for name, totals in total().items()}


def test_each_type_is_counted_with_its_times():
    at = ago(minutes=1)
    for seconds in (2, 2, 30):
        started = at - timedelta(seconds=seconds)
        job = make_job(name="mail", queue_name="slow" if seconds == 30 else "default")
        make_attempt(
            job,
            outcome="succeeded",
            ready_at=started - timedelta(seconds=1),
            started_at=started,
            finished_at=at,
        )
    make_attempt(make_job(name="report"), outcome="failed", finished_at=at)
    make_letter(make_job(name="report"), job_name="report", died_at=at)

    roll_up(min_age=NOW)

    assert numbers() == {"mail": (3, 0, 0), "report": (0, 1, 1)}
    mail = total()["mail"]
    assert mail.run_seconds == pytest.approx(34, abs=0.01)
    assert mail.waits == Counter({bucket_of(1): 3})
    assert mail.runs == Counter({bucket_of(2): 2, bucket_of(30): 1})


def test_a_deleted_job_counts_under_other_types():
    job = make_job(name="mail")
    make_attempt(job, outcome="succeeded")
    Job.objects.filter(pk=job.pk)._raw_delete("default")

    roll_up(min_age=NOW)

    assert numbers() == {OTHER_TYPES: (1, 0, 0)}


def test_a_range_with_more_types_than_are_stored_keeps_the_sum(monkeypatch):
    monkeypatch.setattr(policy.limit_types, "__kwdefaults__", {"limit": 3})
    for number in range(6):
        for claim in range(number + 1):
            make_attempt(make_job(name=f"type_{number}"), claim_number=claim, outcome="succeeded")

    roll_up(min_age=NOW)

    assert numbers() == {
        "type_5": (6, 0, 0),
        "type_4": (5, 0, 0),
        "type_3": (4, 0, 0),
        OTHER_TYPES: (6, 0, 0),
    }


def test_a_range_has_more_buckets_than_a_server_joins_by_default():
    """MySQL cuts a joined text after 1,024 characters."""
    at = ago(minutes=1)
    job = make_job(name="mail")
    for claim in range(600):
        make_attempt(job, claim_number=claim, outcome="succeeded", started_at=at - timedelta(days=9), finished_at=at)

    roll_up(min_age=NOW)

    assert total()["mail"].runs == {bucket_of(9 * 86_400): 600}


def test_old_spans_move_into_longer_ones_and_nothing_is_lost():
    ages = [timedelta(minutes=1), timedelta(hours=4), timedelta(hours=5), timedelta(days=4), timedelta(days=40)]
    for number, age in enumerate(ages):
        make_attempt(make_job(name=f"type_{number % 2}"), outcome="succeeded", finished_at=ago() - age)
    roll_up(min_age=NOW)
    before = numbers()

    assert move_old_types() > 0
    assert numbers() == before == {"type_0": (3, 0, 0), "type_1": (2, 0, 0)}
    assert Counter(TypeRollup.objects.values_list("span_seconds", flat=True)) == {600: 1, 3600: 2, 86_400: 2}
    assert move_old_types() == 0


def test_what_is_folded_late_is_added_to_the_span_that_was_moved():
    at = ago(hours=5)
    for _ in range(2):
        make_attempt(make_job(name="mail"), outcome="succeeded", finished_at=at)
        roll_up(min_age=NOW)
        move_old_types()

    (row,) = TypeRollup.objects.all()
    assert (row.span_seconds, row.types["mail"][0]) == (3600, 2)


def test_days_are_deleted_when_no_page_shows_them():
    TypeRollup.objects.create(span_seconds=86_400, starts_at=ago(days=61), types={})

    assert move_old_types() == 1
    assert not TypeRollup.objects.exists()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_move_that_is_killed_neither_loses_nor_doubles(monkeypatch):
    """The roll-up itself is killed in ``test_rollup.py``."""
    monkeypatch.setattr(type_rollup, "MAX_MOVED", 2)

    def prepare():
        for model in (TypeRollup, RollupPosition, rollup.Rollup, rollup.Attempt):
            model.objects.all()._raw_delete("default")
        for hours in (1, 4, 5, 60):
            make_attempt(make_job(name="mail"), outcome="succeeded", finished_at=ago(hours=hours))
        roll_up(min_age=NOW)

    points = 0
    for _ in crash_at_every_point(prepare, lambda _: move_old_types()):
        move_old_types()
        assert numbers() == {"mail": (4, 0, 0)}
        points += 1
    assert points > 20
