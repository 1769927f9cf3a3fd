"""What is compared with what since a deploy, and which errors are new; ``tests/unit/policy`` tests what is a change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_jobs.models import TypeRollup
from django_jobs.policy.deploys import NewError, RunCounts
from django_jobs.policy.rollup import span_start
from django_jobs.policy.states import State
from django_jobs.policy.type_rollup import OTHER_TYPES
from django_jobs.store.clock import database_now
from django_jobs.store.dead_letters.mute import mute
from django_jobs.store.dead_letters.resolve import resolve
from django_jobs.store.deploys import newest_deploys
from django_jobs.store.stats import since_deploy
from django_jobs.store.stats.dashboard import dashboard_snapshot
from django_jobs.store.stats.rollup import roll_up
from django_jobs.store.stats.since_deploy import SinceDeploy, deploy_to_compare
from tests.factories import make_attempt, make_deploy, make_job, make_letter, make_worker

pytestmark = pytest.mark.django_db
HOUR, STEP = timedelta(hours=1), timedelta(minutes=10)


@pytest.fixture(autouse=True)
def keep_nothing():
    """Counts of another test are not those of this database."""
    since_deploy._kept.clear()
    yield
    since_deploy._kept.clear()


def since() -> SinceDeploy | None:
    return dashboard_snapshot().since_deploy


def this_hour() -> datetime:
    return database_now().replace(minute=0, second=0, microsecond=0)


def add_sums(starts_at: datetime, span: timedelta, **jobs: tuple[int, int]) -> None:
    """Store how many runs of each job succeeded and failed in a span."""
    types = {name: [succeeded, failed, 0, 1.5, [], []] for name, (succeeded, failed) in jobs.items()}
    TypeRollup.objects.create(span_seconds=int(span.total_seconds()), starts_at=starts_at, types=types)


def test_runs_before_and_after_are_added_up_without_the_span_of_the_deploy():
    hour = this_hour()
    deployed_at = hour - 3 * HOUR + timedelta(minutes=2)
    make_deploy("v1", first_seen_at=hour - 8 * HOUR)
    make_deploy("v2", first_seen_at=deployed_at)
    add_sums(hour - 9 * HOUR, HOUR, sync=(5_000, 5_000))  # before the deploy before
    add_sums(hour - 7 * HOUR, HOUR, sync=(600, 4), other=(900, 0))
    add_sums(hour - 4 * HOUR, HOUR, sync=(396, 0))
    add_sums(hour - 3 * HOUR, STEP, sync=(0, 5_000))  # in which it was deployed
    add_sums(hour - 3 * HOUR + STEP, STEP, sync=(400, 26))
    add_sums(hour - 2 * HOUR, HOUR, sync=(539, 35), other=(900, 0))
    add_sums(hour - 24 * HOUR, 24 * HOUR, sync=(5_000, 5_000))  # a whole day is no part

    make_worker(release="v2")
    make_worker()
    make_worker(release="v1")
    found = since()

    assert found is not None
    assert found.deploy.release == "v2"
    (change,) = found.changes
    assert change == ("sync", RunCounts(1_000, 4), RunCounts(1_000, 61))


def test_the_first_deploy_is_compared_with_the_day_before():
    hour = this_hour()
    make_deploy("v1", first_seen_at=hour - HOUR)
    add_sums(hour - 26 * HOUR, HOUR, sync=(0, 5_000))
    add_sums(hour - 25 * HOUR, HOUR, sync=(1_000, 0))
    add_sums(hour - HOUR, HOUR, sync=(900, 100))
    found = since()
    assert found is not None
    assert [(change.before, change.after) for change in found.changes] == [(RunCounts(1_000, 0), RunCounts(1_000, 100))]


def test_the_sum_of_all_further_types_is_no_job():
    hour = this_hour()
    make_deploy("v1", first_seen_at=hour - HOUR)
    add_sums(hour - 2 * HOUR, HOUR, **{OTHER_TYPES: (1_000, 0)})
    add_sums(hour - HOUR, HOUR, **{OTHER_TYPES: (0, 1_000)})
    found = since()
    assert found is not None
    assert found.changes == []


def test_attempts_of_real_jobs_are_found():
    now = database_now()
    make_deploy("v1", first_seen_at=now - timedelta(minutes=40))
    for at in range(25):
        for minutes, outcome in ((100, "succeeded"), (15, "failed" if at % 2 else "succeeded")):
            job = make_job(State.SUCCEEDED, name="sync")
            make_attempt(job, outcome=outcome, finished_at=now - timedelta(minutes=minutes))
    roll_up(min_age=timedelta(0))
    found = since()
    assert found is not None
    assert found.changes == [("sync", RunCounts(25, 0), RunCounts(25, 12))]


def test_an_error_is_new_if_no_job_had_died_of_it_before():
    now = database_now()
    make_deploy("v1", first_seen_at=now - HOUR)
    names = {"a": "shop.Old", "b": "builtins.KeyError", "c": "", "d": "shop.Muted", "e": "shop.Closed"}
    letters = {}
    for key, error_class in names.items():
        died_at = now - timedelta(minutes=5) - (2 * HOUR if key == "a" else timedelta(0))
        letters[key] = make_letter(
            job_name=f"job {key}", fingerprint=key * 32, error_class=error_class, died_at=died_at
        )
    make_letter(job_name="job a", fingerprint="a" * 32, error_class="shop.Old")
    roll_up(min_age=timedelta(0))
    mute(["d" * 32], by="ada")
    resolve(letters["e"], by="ada")
    found = since()
    assert found is not None
    new = [NewError("job b", "builtins.KeyError"), NewError("job c", "attempts_used_up")]
    assert sorted(found.new_errors, key=lambda error: error.job_name) == new


@pytest.mark.parametrize(
    ("running", "age", "is_told"),
    [
        ((), HOUR, True),
        (("v1",), HOUR, True),
        (("v1", "v0"), HOUR, True),
        (("",), HOUR, True),
        (("v0", ""), HOUR, False),  # it was taken back before all workers had it
        (("v1",), timedelta(hours=23, minutes=59), True),
        (("v1",), timedelta(hours=25), False),
    ],
)
def test_nothing_is_told_of_a_release_that_is_gone_or_a_day_old(running, age, is_told):
    now = datetime(2026, 11, 30, tzinfo=UTC)
    make_deploy("v1", first_seen_at=now - age)
    found = deploy_to_compare(newest_deploys(limit=20), running=running, now=now, using="default")
    assert (found is not None) is is_told


def test_the_comparison_costs_the_dashboard_no_statement():
    hour = this_hour()
    with CaptureQueriesContext(connection) as without:
        assert dashboard_snapshot().since_deploy is None
    make_deploy("v1", first_seen_at=hour - HOUR)
    add_sums(hour - 2 * HOUR, HOUR, sync=(1_000, 0))
    add_sums(hour - HOUR, HOUR, sync=(900, 100))
    with CaptureQueriesContext(connection) as compared:
        found = dashboard_snapshot()
    assert found.since_deploy is not None
    assert [change.job_name for change in found.since_deploy.changes] == ["sync"]
    assert (len(compared), found.totals.succeeded) == (len(without), 0), "sums of job types are no sums of queues"


def test_a_process_keeps_what_took_long_to_read_for_a_minute(monkeypatch):
    hour = this_hour()
    make_deploy("v1", first_seen_at=hour - HOUR)
    for hours in range(since_deploy.MIN_KEPT_ROWS):
        add_sums(hour - (hours + 2) * HOUR, HOUR, sync=(100, 0))
    assert since().changes == []
    add_sums(hour - HOUR, HOUR, sync=(900, 100))
    assert since().changes == [], "kept"
    assert since_deploy._recall(newest_deploys(limit=1)[0], "other") is None
    since_deploy._kept.clear()
    assert [change.job_name for change in since().changes] == ["sync"]


def test_after_a_minute_only_the_newest_sums_are_read_and_added(monkeypatch):
    monkeypatch.setattr(since_deploy, "KEPT_SECONDS", 0)
    now = span_start(database_now().timestamp(), 600)
    make_deploy("v1", first_seen_at=now - 5 * HOUR)
    for steps in range(since_deploy.MIN_KEPT_ROWS):
        add_sums(now - 5 * HOUR - (steps + 1) * STEP, STEP, sync=(100, 0))
    add_sums(now - 4 * STEP, STEP, sync=(900, 100))
    add_sums(now, STEP, sync=(10, 0))
    assert [change.after for change in since().changes] == [RunCounts(1_010, 100)]
    # Old sums are moved into a longer one, newer runs are added: all is still counted once.
    TypeRollup.objects.filter(starts_at__lt=now - 3 * STEP).delete()
    add_sums(now - 5 * HOUR, HOUR, sync=(900, 100))
    TypeRollup.objects.filter(starts_at=now).update(
        types={"sync": [10, 7, 0, 1.5, [], []], "new": [1, 0, 0, 1.5, [], []]}
    )
    (change,) = since().changes
    assert change == ("sync", RunCounts(1_200, 0), RunCounts(1_017, 107))
    monkeypatch.setattr(since_deploy, "RECOUNTED_AFTER", timedelta(0))
    assert since().changes == [], "a whole count finds none before the deploy"


def test_without_a_deploy_nothing_is_told():
    assert since() is None
