"""The dashboard moves while a real worker runs, and stands still when nobody looks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.process.running import RunningWorker
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .visitor import Visitor


@pytest.fixture
def worker(worker_environment: dict[str, str]) -> Iterator[RunningWorker]:
    worker = RunningWorker(worker_environment)
    yield worker
    worker.kill()


def _shown(visitor: Visitor, name: str) -> str:
    return str(visitor.page.inner_text(f".jobs-figure:has-text('{name}') .jobs-figure-value"))


def test_an_empty_dashboard_says_what_to_do(visitor: Visitor) -> None:
    visitor.go("index")
    visitor.page.click("text=Background jobs")
    visitor.page.click("text=Dashboard")
    assert "No worker lives" in visitor.text()
    assert "Start one with manage.py runworker" in visitor.text()
    visitor.picture("dashboard-empty")
    assert visitor.grave_violations() == []


def test_the_dashboard_moves_while_a_worker_runs(visitor: Visitor, worker: RunningWorker) -> None:
    visitor.go("django_jobs_dashboard")
    customer = Customer.objects.create(name="Ada")
    sample.count_visit_once.enqueue_many([(customer.pk,)] * 300)
    visitor.page.wait_for_function(
        "() => document.querySelector('.jobs-figure-succeeded .jobs-figure-value').textContent === '300'",
        timeout=60_000,
    )
    assert _shown(visitor, "Waiting now") == "0"
    assert visitor.page.query_selector("#jobs-chart canvas")
    visitor.picture("dashboard-moving")
