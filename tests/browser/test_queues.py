"""Staff take care of a queue that no worker has seen, and of a worker with a job that does not end."""

from __future__ import annotations

import pytest

from django_jobs.models import Queue, Worker
from django_jobs.policy.activity import THREAD, Activity, ReportedRun
from django_jobs.policy.states import State
from tests import factories

from .visitor import Visitor


def _look(visitor: Visitor, name: str) -> None:
    visitor.picture(f"{name}-{visitor.page.viewport_size['width']}")
    assert visitor.grave_violations() == [], name
    assert not visitor.scrolls_sideways(), name
    assert visitor.mislaid() == [], name


def _buttons_are_alike(visitor: Visitor) -> None:
    buttons = visitor.page.locator(".object-tools li :is(a, button)")
    heights = [buttons.nth(at).bounding_box()["height"] for at in range(buttons.count())]
    assert len(heights) >= 3
    assert max(heights) - min(heights) < 1.5, heights


def _stop_the_worker_of_a_job(visitor: Visitor) -> None:
    worker = factories.make_worker(hostname="web-1.example.org", concurrency=2, queues=["mail"])
    names = ("shop.send_newsletter", "shop.render_invoice", "shop.sync_customer", "shop.sync_customer")
    jobs = [factories.make_job(State.RUNNING, name=name, queue_name="mail", worker=worker) for name in names]
    runs = tuple(
        ReportedRun(job.pk, job.claim_number, factories.ago(minutes=age).timestamp(), THREAD)
        for job, age in zip(jobs, (95, 2), strict=False)
    )
    Worker.objects.update(activity=Activity(threads=2, async_capacity=100, claimed=4, runs=runs).as_json())
    factories.make_job(queue_name="reports")

    visitor.go("django_jobs_dashboard")
    visitor.wait_for_text("1 queue has ready jobs and no worker: reports")
    visitor.wait_for_text("2 of 2 threads, 2 in hand")
    _look(visitor, "dashboard-in-hand")
    visitor.go("django_jobs_worker_changelist")
    _look(visitor, "workers-in-hand")
    visitor.go("django_jobs_worker_change", worker.pk)
    _look(visitor, "worker-in-hand")
    _buttons_are_alike(visitor)
    visitor.page.get_by_role("link", name="shop.send_newsletter").click()
    visitor.page.get_by_role("button", name="Request cancellation").click()
    visitor.wait_for_text("A function in a thread is not interrupted")
    _look(visitor, "job-in-a-thread")
    visitor.page.get_by_role("link", name="Stop its worker").click()
    visitor.wait_for_text("1 running job goes back to its queue")
    _look(visitor, "stop-its-worker")
    visitor.page.get_by_role("button", name="Yes, stop it at once").click()
    visitor.wait_for_text("Stop requested: the process ends at its next heartbeat")
    _look(visitor, "job-of-a-stopping-worker")
    assert Worker.objects.get().kill_requested_by == "ada"


def test_a_queue_that_no_worker_has_seen_is_paused_and_a_worker_stopped(visitor: Visitor) -> None:
    visitor.page.set_viewport_size({"width": 1440, "height": 900})
    factories.make_job(State.SCHEDULED, queue_name="nightly")
    visitor.go("django_jobs_job_changelist")
    visitor.page.get_by_role("link", name="nightly", exact=True).first.click()
    assert "queue=nightly" in visitor.page.url
    visitor.go("django_jobs_queue_changelist")
    _look(visitor, "queue-without-worker")
    visitor.page.get_by_role("link", name="nightly", exact=True).first.click()
    visitor.page.get_by_role("button", name="Pause").click()
    visitor.wait_for_text("Paused: nightly")
    assert Queue.objects.get().is_paused
    visitor.page.get_by_role("link", name="nightly", exact=True).first.click()
    _look(visitor, "queue-paused")
    _buttons_are_alike(visitor)
    visitor.page.get_by_role("button", name="Resume").click()
    visitor.wait_for_text("Resumed: nightly")
    assert not Queue.objects.get().is_paused
    _stop_the_worker_of_a_job(visitor)


@pytest.mark.phone
@pytest.mark.dark
def test_a_worker_is_stopped_on_a_phone_in_the_dark(visitor: Visitor) -> None:
    _stop_the_worker_of_a_job(visitor)
