"""What staff do, from the first click to what came of it, while a real worker runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_jobs.models import DeadLetter, Job
from django_jobs.policy.states import State
from tests import factories
from tests.concurrency import wait_until
from tests.process.running import RunningWorker
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .visitor import Visitor

PRINT = "a" * 32


@pytest.fixture
def worker(worker_environment: dict[str, str]) -> Iterator[RunningWorker]:
    worker = RunningWorker(worker_environment)
    yield worker
    worker.kill()


def _dead_job() -> Job:
    """Return a job that failed for good and would succeed now."""
    customer = Customer.objects.create(name="Ada")
    job = factories.make_job(State.DEAD, name=sample.count_visit_once.name, arguments={"customer_id": customer.pk})
    factories.make_letter(job, fingerprint=PRINT, error_message="the database was away")
    return job


def test_a_dead_letter_is_redriven_and_its_job_succeeds(visitor: Visitor, worker: RunningWorker) -> None:
    job = _dead_job()
    visitor.go("django_jobs_deadlettergroups")
    visitor.picture("groups")
    visitor.page.click("text=RuntimeError")
    visitor.page.click("#group-newest ~ ul a")
    visitor.page.get_by_role("button", name="Redrive").click()
    visitor.wait_for_text("is redriven.")
    job.wait(30)
    visitor.go("django_jobs_job_change", job.pk)
    assert visitor.page.inner_text(".job-state") == "succeeded"
    visitor.picture("job")
    assert Customer.objects.get().visits == 1


def test_a_group_is_purged_after_a_confirmation_with_the_number(visitor: Visitor, worker: RunningWorker) -> None:
    for _ in range(4):
        factories.make_letter(fingerprint=PRINT)
    visitor.go("django_jobs_deadlettergroup", PRINT)
    visitor.page.get_by_role("link", name="Purge all matching").click()
    visitor.wait_for_text("4 open dead letters match.")
    visitor.picture("purge")
    assert visitor.grave_violations() == []
    visitor.page.get_by_role("button", name="Purge").click()
    visitor.wait_for_text("Job succeeded.", seconds=40)
    assert set(DeadLetter.objects.values_list("status", flat=True)) == {"purged"}


def test_all_jobs_of_a_filter_are_moved_and_the_rest_is_left_alone(visitor: Visitor, worker: RunningWorker) -> None:
    factories.make_queue("slow")
    later = factories.make_jobs(3, State.SCHEDULED, name="reports.build")
    factories.make_job(State.SUCCEEDED, name="reports.build")
    other = factories.make_job(State.SCHEDULED)
    visitor.go("django_jobs_job_changelist", query="?name=reports.build")
    visitor.picture("jobs-with-bulk-actions")
    visitor.page.get_by_role("link", name="Move all matching").click()
    visitor.wait_for_text("3 matching jobs.")
    visitor.wait_for_text("1 other job that matches is left alone")
    visitor.page.get_by_role("button", name="Move").click()
    assert visitor.page.locator("#id_to:invalid").count() == 1, "the browser asks for a queue"
    visitor.page.select_option("#id_to", "slow")
    visitor.picture("move")
    assert visitor.grave_violations() == []
    visitor.page.get_by_role("button", name="Move").click()
    visitor.wait_for_text("3 moved. Job succeeded.", seconds=40)
    visitor.picture("moved")
    assert visitor.grave_violations() == []
    assert not visitor.scrolls_sideways()
    assert {job.refresh().queue_name for job in later} == {"slow"}
    assert other.refresh().queue_name == "default"


def test_a_sample_is_redriven_first_and_then_the_rest(visitor: Visitor, worker: RunningWorker) -> None:
    for _ in range(12):
        _dead_job()
    visitor.go("django_jobs_deadlettergroup", PRINT)
    visitor.page.get_by_role("link", name="Redrive all matching").click()
    visitor.page.fill("input[name=first]", "10")
    visitor.picture("redrive-all")
    visitor.page.get_by_role("button", name="Redrive").click()
    visitor.wait_for_text("Job succeeded.", seconds=40)
    visitor.wait_for_text("10 succeeded")
    assert visitor.page.locator(".bulk-sample li").all_inner_texts() == [
        f"{sample.count_visit_once.name} #{pk} succeeded"
        for pk in Job.objects.filter(state=State.SUCCEEDED, name=sample.count_visit_once.name)
        .order_by("-pk")
        .values_list("pk", flat=True)
    ]
    assert visitor.grave_violations() == []
    assert visitor.mislaid() == []
    visitor.picture("tour-redrive")
    assert DeadLetter.objects.filter(status="open").count() == 2
    visitor.page.get_by_role("link", name="Continue with the rest").click()
    visitor.wait_for_text("2 open dead letters match.")
    visitor.page.get_by_role("button", name="Redrive").click()
    visitor.wait_for_text("2 redriven. Job succeeded.", seconds=40)
    wait_until(lambda: not Customer.objects.exclude(visits=1).exists(), "each to be visited once")
    assert set(DeadLetter.objects.values_list("status", "resolved_by")) == {("redriven", "ada")}


def test_nothing_starts_in_a_queue_that_was_paused(visitor: Visitor, worker: RunningWorker) -> None:
    factories.make_queue("default")
    visitor.go("django_jobs_queue_change", "default")
    visitor.page.get_by_role("button", name="Pause").click()
    visitor.wait_for_text("Paused: default")
    customer = Customer.objects.create(name="Ada")
    held = sample.count_visit_once.enqueue(customer.pk)
    free = sample.count_visit_once.using(queue_name="other").enqueue(customer.pk)
    assert free.wait(30).state == State.SUCCEEDED
    visitor.go("django_jobs_job_change", held.pk)
    assert "paused by ada" in visitor.text()
    assert held.refresh().state == State.READY
    visitor.go("django_jobs_queue_change", "default")
    visitor.page.get_by_role("button", name="Resume").click()
    assert held.wait(30).state == State.SUCCEEDED


def test_a_schedule_is_edited_and_its_next_firings_are_read(visitor: Visitor) -> None:
    schedule = factories.make_schedule("nightly", cron="@daily")
    visitor.go("django_jobs_cronschedule_change", schedule.pk)
    visitor.page.fill("input[name=cron]", "0 9 * * 1")
    visitor.page.click("input[name=_continue]")
    visitor.wait_for_text("At 09:00 on Monday")
    assert visitor.text().count(" 09:00 (in ") >= 5
    visitor.picture("schedule")


def test_the_dashboard_says_when_a_refresh_failed(visitor: Visitor) -> None:
    visitor.go("django_jobs_dashboard")
    visitor.page.route("**/dashboard/now/**", lambda route: route.abort())
    visitor.page.wait_for_selector(".jobs-is-stale", timeout=60_000)
    assert "Not updated since" in visitor.text()
    visitor.said.clear()  # the browser says that a request was cut off, as it was


def test_a_worker_is_stopped_and_exits(visitor: Visitor, worker: RunningWorker) -> None:
    row = wait_until(lambda: factories.Worker.objects.filter(state="running").first())
    visitor.go("django_jobs_worker_change", row.pk)
    visitor.page.get_by_role("button", name="Stop").click()
    visitor.wait_for_text("Stop requested: the worker")
    assert worker.wait() == 0
