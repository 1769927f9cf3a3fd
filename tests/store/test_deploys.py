"""A deploy is recorded once: when a release comes, and when an earlier one comes back after it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_jobs.models import Deploy
from django_jobs.store.deploys import newest_deploys, prune_deploys, record_deploy
from django_jobs.store.workers import register_worker
from tests.concurrency import run_together
from tests.factories import ago, make_deploy, make_worker

pytestmark = pytest.mark.django_db
STALE_AFTER = timedelta(seconds=15)


def start(release: str, *, running_for: float = 0, projects: tuple[str, ...] = ("shop",)) -> bool:
    """Start a worker of this release by a command that has run for so many seconds."""
    register_worker(hostname="h", pid=1, queues=None, concurrency=1, version="0", release=release)
    return record_deploy(
        release, projects=projects, running_for=timedelta(seconds=running_for), stale_after=STALE_AFTER
    )


def releases(**filters: Any) -> list[str]:
    return list(Deploy.objects.filter(**filters).order_by("number").values_list("release", flat=True))


def test_the_first_worker_of_a_release_records_its_deploy():
    assert [start("a"), start("a"), start("b"), start("b")] == [True, False, True, False]
    assert releases() == ["a", "b"]


def test_a_worker_that_starts_later_is_the_last_one_seen():
    deploy = make_deploy("a", first_seen_at=ago(hours=1), last_seen_at=ago(hours=1))
    start("a")
    first_seen_at = deploy.first_seen_at
    deploy.refresh_from_db()
    assert deploy.first_seen_at == first_seen_at
    assert deploy.last_seen_at > ago(minutes=1)


def test_a_release_that_comes_back_is_a_deploy_of_its_own():
    make_deploy("a", first_seen_at=ago(hours=2))
    make_deploy("b", first_seen_at=ago(hours=1))
    make_worker(release="a", state="stopped", started_at=ago(hours=2))
    make_worker(release="b", started_at=ago(hours=1))
    assert [start("a"), start("a")] == [True, False], "several workers come back at once"
    assert releases() == ["a", "b", "a"]


def test_an_old_worker_is_no_deploy_while_others_of_its_release_are_left_from_before():
    make_deploy("a", first_seen_at=ago(hours=2))
    make_deploy("b", first_seen_at=ago(minutes=1))
    make_worker(release="a", started_at=ago(hours=2))
    assert start("a") is False
    assert releases() == ["a", "b"]
    assert newest_deploys(limit=1)[0].release == "b"


def test_a_worker_left_from_before_that_has_no_heartbeat_any_more_does_not_count():
    make_deploy("a", first_seen_at=ago(hours=2))
    make_deploy("b", first_seen_at=ago(minutes=1))
    make_worker(release="a", started_at=ago(hours=2), heartbeat_at=ago(minutes=1))
    assert start("a") is True


def test_a_process_that_replaces_another_of_an_old_command_is_no_deploy():
    make_deploy("a", first_seen_at=ago(hours=2))
    make_deploy("b", first_seen_at=ago(minutes=5))
    assert start("a", running_for=600) is False
    assert start("c", running_for=600) is True, "a release that was never there: its code was replaced in place"
    assert releases() == ["a", "b", "c"]


def test_projects_that_share_a_database_have_deploys_of_their_own():
    assert [start("a"), start("x", projects=("mail",)), start("a")] == [True, True, False]
    assert (releases(project="shop"), releases(project="mail")) == (["a"], ["x"])
    assert start("a", projects=("store", "shop")) is False, "the project has another name now"
    assert start("b", projects=("store", "shop")) is True
    assert Deploy.objects.get(release="b").number == 2


@pytest.mark.django_db(transaction=True)
def test_of_workers_that_start_at_once_one_records_the_deploy():
    assert sum(run_together(*[lambda: start("a")] * 4)) == 1
    assert releases() == ["a"]
    assert sorted(run_together(*[lambda name=name: start(name) for name in "bcbc"])) == [False, False, True, True]
    assert sorted(releases()) == ["a", "b", "c"]


def test_a_start_with_the_newest_release_takes_few_statements(django_assert_num_queries):
    start("a")
    with django_assert_num_queries(3):
        record_deploy("a", projects=("shop",), running_for=timedelta(0), stale_after=STALE_AFTER)


def test_releases_differ_by_case():
    assert [start("a"), start("A")] == [True, True]


def test_old_deploys_are_deleted_but_the_newest_of_each_project():
    for days in (90, 80, 70):
        make_deploy(f"of {days} days ago", first_seen_at=ago(days=days))
        make_deploy("x", project="mail", first_seen_at=ago(days=days - 65))
    assert prune_deploys() == 2
    assert (releases(project="shop"), releases(project="mail")) == (["of 70 days ago"], ["x"] * 3)
    assert start("new") is True
