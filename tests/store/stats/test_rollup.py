"""Rollups: sums equal an exact count and count each row once, whichever process runs or dies."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from django_jobs.models import (
    Attempt,
    DeadLetter,
    DeadLetterGroup,
    DeadLetterHour,
    Job,
    Rollup,
    RollupPosition,
    TypeRollup,
)
from django_jobs.policy.histogram import SPANS, bucket_of
from django_jobs.policy.outcomes import Succeeded
from django_jobs.policy.rollup import ALL_QUEUES
from django_jobs.policy.states import State
from django_jobs.policy.type_rollup import type_totals
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.stats import rollup
from django_jobs.store.stats.rollup import roll_up
from tests.concurrency import Background, run_together
from tests.crashing import crash_at_every_point
from tests.factories import ago, ended, failure, make_attempt, make_job, make_letter, make_worker, take

pytestmark = pytest.mark.django_db
NOW = timedelta(0)


def sums(span=3600):
    """Return by queue what the rows of one span add up to."""
    total = {}
    for row in Rollup.objects.filter(span_seconds=span).exclude(queue_name=ALL_QUEUES):
        counts = total.setdefault(row.queue_name, Counter())
        counts += Counter({"succeeded": row.succeeded, "retried": row.retried, "dead": row.dead})
        total[row.queue_name] = counts
    return total


def histogram(name, span):
    rows = Rollup.objects.filter(span_seconds=span, queue_name=ALL_QUEUES).values_list(name, flat=True)
    return sum(map(Counter, rows), Counter())


def waits(span=60):
    return histogram("waits", span)


def runs(span=60):
    return histogram("runs", span)


def end_jobs(outcomes, *, queue_name="default", max_attempts=5):
    """Have one job end in each of these ways, by the engine's own operations."""
    worker = make_worker()
    for outcome in outcomes:
        make_job(queue_name=queue_name, max_attempts=max_attempts)
        (claim,) = take(worker, queues=[queue_name])
        assert finish([ended(claim, outcome)], worker_id=worker.pk)


def test_every_span_counts_what_succeeded_what_is_retried_and_what_died():
    end_jobs([Succeeded(), Succeeded(), failure(), failure(retry_in=None)])
    end_jobs([failure()], queue_name="mail", max_attempts=1)

    assert roll_up(min_age=NOW) == 5 + 2
    for span in SPANS:
        assert sums(span) == {"default": {"succeeded": 2, "retried": 1, "dead": 1}, "mail": {"dead": 1}}
        whole = Rollup.objects.filter(span_seconds=span, queue_name=ALL_QUEUES).aggregate(
            Sum("succeeded"), Sum("retried"), Sum("dead")
        )
        assert list(whole.values()) == [2, 1, 2]


def test_nothing_is_counted_twice_and_what_comes_later_is_added():
    end_jobs([Succeeded()])
    roll_up(min_age=NOW)
    assert roll_up(min_age=NOW) == 0
    end_jobs([Succeeded(), failure()])

    assert roll_up(min_age=NOW) == 2
    assert sums() == {"default": {"succeeded": 2, "retried": 1}}


def test_a_row_starts_at_the_beginning_of_its_span():
    finished = (database_now() - timedelta(hours=2)).replace(minute=47, second=12, microsecond=345_000)
    make_attempt(make_job(), outcome="succeeded", finished_at=finished)

    roll_up(min_age=NOW)

    starts = {row.span_seconds: row.starts_at for row in Rollup.objects.all()}
    assert starts == {
        60: finished.replace(second=0, microsecond=0),
        600: finished.replace(minute=40, second=0, microsecond=0),
        3600: finished.replace(minute=0, second=0, microsecond=0),
    }


SECONDS = [0, 0.001, 0.002, 0.004, 0.0095, 0.1, 0.1024, 0.4096, 1, 1.5, 59.999, 3600, 90_000, 10_000_000]


def test_the_database_sorts_durations_into_the_same_buckets_as_python():
    start = database_now().replace(microsecond=0) - timedelta(minutes=1)
    for seconds in SECONDS:
        length = timedelta(seconds=seconds)
        make_attempt(make_job(), ready_at=start - length, started_at=start, finished_at=start)
        make_attempt(make_job(), ready_at=None, started_at=start - length, finished_at=start)

    roll_up(min_age=NOW)

    expected = Counter(str(bucket_of(seconds)) for seconds in SECONDS)
    assert waits() == expected
    assert runs() == expected + Counter({"0": len(SECONDS)})


def test_a_clock_that_was_set_back_makes_no_negative_duration():
    now = database_now()
    make_attempt(make_job(), ready_at=now, started_at=now - timedelta(hours=1), finished_at=now)
    make_attempt(make_job(), ready_at=now, started_at=now, finished_at=now - timedelta(minutes=1))

    roll_up(min_age=NOW)

    assert waits() == {"0": 2}
    assert runs()["0"] == 1


@pytest.mark.parametrize(
    ("outcome", "kind", "is_measured"),
    [
        ("succeeded", "succeeded", True),
        ("failed", "retried", True),
        ("timed_out", "retried", True),
        ("retried", "retried", True),
        ("lost", "retried", True),
        ("discarded", None, True),
        ("cancelled", None, True),
        ("unreadable", None, True),
        ("snoozed", None, False),
        ("released", None, False),
    ],
)
def test_how_each_outcome_counts(outcome, kind, is_measured):
    make_attempt(make_job(), outcome=outcome)

    roll_up(min_age=NOW)

    assert +sums().get("default", Counter()) == ({kind: 1} if kind else {})
    assert waits().total() == runs().total() == is_measured


def test_an_attempt_that_never_started_has_no_durations():
    make_attempt(make_job(), outcome="lost", started_at=None)

    roll_up(min_age=NOW)

    assert (waits(), runs()) == ({}, {})


def test_only_the_last_attempt_of_a_dead_job_is_not_counted_as_retried():
    job = make_job(State.DEAD)
    died_at = ago(seconds=5)
    make_attempt(job, claim_number=1, finished_at=ago(minutes=2))
    make_attempt(job, claim_number=2, finished_at=died_at)
    make_letter(job, died_at=died_at)

    roll_up(min_age=NOW)

    assert sums() == {"default": {"retried": 1, "dead": 1}}


def test_an_attempt_whose_job_was_deleted_counts_under_no_queue():
    job = make_job()
    make_attempt(job, outcome="succeeded")
    Job.objects.filter(pk=job.pk)._raw_delete("default")

    roll_up(min_age=NOW)

    assert sums() == {"": {"succeeded": 1}}


def test_what_is_newer_than_the_settling_time_waits():
    end_jobs([Succeeded()])
    minute = timedelta(minutes=1)

    assert roll_up(min_age=minute) == 0
    RollupPosition.objects.update(seen_at=ago(seconds=59))
    assert roll_up(min_age=minute) == 0
    end_jobs([Succeeded()])
    RollupPosition.objects.update(seen_at=ago(seconds=61))
    assert roll_up(min_age=minute) == 1, "the second had not been noted yet"
    RollupPosition.objects.update(seen_at=ago(seconds=61))
    assert roll_up(min_age=minute) == 1


def test_an_idle_rollup_writes_nothing_within_the_settling_time(django_assert_max_num_queries):
    end_jobs([Succeeded()])
    roll_up(min_age=NOW)
    roll_up()
    before = list(RollupPosition.objects.values())

    with django_assert_max_num_queries(7):
        roll_up()

    assert list(RollupPosition.objects.values()) == before


def test_a_range_is_bounded_and_gaps_in_the_ids_cost_nothing(monkeypatch):
    monkeypatch.setattr(rollup, "ATTEMPTS_PER_RANGE", 3)
    monkeypatch.setattr(rollup, "RANGES_PER_ROUND", 2)
    job = make_job()
    for number in range(8):
        make_attempt(job, claim_number=number, id=1_000_000 + number * (1 if number < 4 else 100_000))

    assert [roll_up(min_age=NOW) for _ in range(4)] == [4, 2, 2, 0]
    assert sums() == {"default": {"retried": 8}}


def test_old_attempts_are_rolled_up_into_the_spans_that_reach_so_far_back():
    job = make_job()
    for number, days in enumerate((0, 1, 30, 90)):
        make_attempt(job, claim_number=number, finished_at=ago(days=days))

    roll_up(min_age=NOW)

    assert {span: sums(span).get("default", Counter()).total() for span in SPANS} == {60: 1, 600: 2, 3600: 3}


def test_an_end_in_the_future_is_not_rolled_up():
    make_attempt(make_job(), finished_at=ago(days=-400))

    assert roll_up(min_age=NOW) == 1
    assert not Rollup.objects.exists()


def test_dead_letters_make_their_group_and_its_hours():
    first, last = ago(hours=5), ago(minutes=1)
    make_letter(fingerprint="a" * 32, died_at=last, error_message="new " * 1_000, queue_name="mail")
    make_letter(fingerprint="a" * 32, died_at=first, error_message="old")
    make_letter(fingerprint="b" * 32, job_name="other", status="redriven")

    roll_up(min_age=NOW)

    group = DeadLetterGroup.objects.get(pk="a" * 32)
    assert (group.job_name, group.queue_name, group.reason) == ("sample", "mail", "attempts_used_up")
    assert (group.first_died_at, group.last_died_at) == (first, last)
    assert (group.total, group.open) == (2, 2)
    assert group.error_class == "builtins.RuntimeError"
    assert group.error_message == ("new " * 1_000)[:500]
    hours = DeadLetterHour.objects.filter(fingerprint="a" * 32).values_list("starts_at", "number")
    assert dict(hours) == {time.replace(minute=0, second=0, microsecond=0): 1 for time in (first, last)}


def test_a_newer_dead_letter_is_the_groups_sample():
    make_letter(error_message="old", died_at=ago(hours=1))
    roll_up(min_age=NOW)
    make_letter(error_message="new", error_class="Other")
    roll_up(min_age=NOW)

    group = DeadLetterGroup.objects.get()
    assert (group.error_class, group.error_message, group.total) == ("Other", "new", 2)


def test_mute_and_note_survive_a_rollup():
    make_letter()
    roll_up(min_age=NOW)
    DeadLetterGroup.objects.update(note="known", muted_at=ago(hours=1), muted_by="ada")
    make_letter()
    roll_up(min_age=NOW)

    group = DeadLetterGroup.objects.get()
    assert (group.note, group.muted_by, group.total) == ("known", "ada", 2)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="other databases hold instants only")
def test_times_edited_into_nonsense_do_not_stop_a_rollup():
    make_letter()
    make_attempt(make_job(), outcome="succeeded")
    make_attempt(make_job(), outcome="succeeded")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_jobs_deadletter SET died_at = 'yesterday'")
        cursor.execute(
            "UPDATE django_jobs_attempt SET ready_at = '?', finished_at = '2026-02-31 00:00:00' WHERE id % 2"
        )

    roll_up(min_age=NOW)

    assert sums()["default"]["succeeded"] == 1
    assert DeadLetterGroup.objects.get().open == 1


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_concurrent_rollups_count_each_row_once(monkeypatch):
    monkeypatch.setattr(rollup, "ATTEMPTS_PER_RANGE", 7)
    monkeypatch.setattr(rollup, "DEAD_LETTERS_PER_RANGE", 5)
    job = make_job()
    make_worker()
    for number in range(100):
        make_attempt(job, claim_number=number, outcome="succeeded")
        make_letter(job, fingerprint=f"{number % 7:032}")

    folded = run_together(*[lambda: [roll_up(min_age=NOW) for _ in range(3)]] * 4)

    assert sum(sum(counts) for counts in folded) == 200
    assert sums() == {"default": {"succeeded": 100, "dead": 100}}
    assert sum(DeadLetterGroup.objects.values_list("open", flat=True)) == 100
    assert sum(DeadLetterHour.objects.values_list("number", flat=True)) == 100


def _clear():
    for model in (Rollup, TypeRollup, RollupPosition, DeadLetterGroup, DeadLetterHour, Attempt, DeadLetter):
        model.objects.all()._raw_delete("default")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("succeeded", "dead"), [(2, 0), (0, 2)], ids=["attempts", "dead letters"])
def test_a_killed_rollup_neither_loses_nor_doubles(monkeypatch, succeeded, dead):
    monkeypatch.setattr(rollup, "ATTEMPTS_PER_RANGE", 1)
    monkeypatch.setattr(rollup, "DEAD_LETTERS_PER_RANGE", 1)
    job = make_job(name="mail")

    def prepare():
        _clear()
        for number in range(succeeded):
            make_attempt(job, claim_number=number, outcome="succeeded")
        for number in range(dead):
            make_letter(job, fingerprint=f"{number:032}")

    points = 0
    for _ in crash_at_every_point(prepare, lambda _: roll_up(min_age=NOW)):
        roll_up(min_age=NOW)
        assert sums() == {"default": +Counter(succeeded=succeeded, dead=dead)}
        types = [type_totals(row.types["mail"]) for row in TypeRollup.objects.all()]
        assert sum(totals.succeeded for totals in types) == succeeded
        assert sum(totals.dead for totals in types) == dead
        assert sum(DeadLetterGroup.objects.values_list("open", flat=True)) == dead
        points += 1
    assert points > 20


@pytest.mark.django_db(transaction=True)
def test_an_attempt_committed_after_a_newer_one_is_counted_where_it_settles_in_time():
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("this database has one writer at a time")
    job = make_job()
    with transaction.atomic():
        make_attempt(job, claim_number=1)
        Background(lambda: make_attempt(job, claim_number=2)).result()
        assert Background(lambda: roll_up(min_age=timedelta(minutes=1))).result() == 0
    RollupPosition.objects.update(seen_at=ago(minutes=2))

    assert roll_up(min_age=timedelta(minutes=1)) == 2


def test_minutes_are_those_of_utc():
    at = datetime.now(UTC).replace(minute=0, second=30, microsecond=0) - timedelta(hours=1)
    make_attempt(make_job(), finished_at=at)

    roll_up(min_age=NOW)

    assert Rollup.objects.get(span_seconds=60, queue_name="default").starts_at == at.replace(second=0)


def test_minutes_and_durations_are_exact_just_before_a_full_second():
    at = datetime.now(UTC).replace(minute=0, second=59, microsecond=999_900) - timedelta(hours=1)
    started = at - timedelta(seconds=1, microseconds=300)
    make_attempt(make_job(), ready_at=started - timedelta(seconds=4), started_at=started, finished_at=at)

    roll_up(min_age=NOW)

    row = Rollup.objects.get(span_seconds=60, queue_name="default")
    assert row.starts_at == at.replace(second=0, microsecond=0)
    assert (row.waits, row.runs) == ({str(bucket_of(4)): 1}, {str(bucket_of(1.0003)): 1})
