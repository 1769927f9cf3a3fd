"""The dashboard moves while a real worker runs, and stands still when nobody looks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from django_jobs.models import TypeRollup
from django_jobs.policy.rollup import span_start
from django_jobs.policy.states import State
from django_jobs.store.stats.rollup import roll_up
from tests import factories
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
    assert "No workers are running" in visitor.text()
    assert "Start one: manage.py runworker" in visitor.text()
    visitor.picture("dashboard-empty")
    assert visitor.grave_violations() == []


def test_selected_text_stays_selected_when_the_dashboard_is_renewed(visitor: Visitor) -> None:
    factories.make_queue("mail")
    visitor.go("django_jobs_dashboard")
    visitor.page.evaluate("() => getSelection().selectAllChildren(document.querySelector('.jobs-queues h2'))")
    for _ in range(2):  # the answer before is shown when the next is asked for
        with visitor.page.expect_response("**/dashboard/now/**"):
            visitor.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    assert visitor.page.evaluate("() => getSelection().toString()") == "Queues"


@pytest.fixture
def history(worker_environment: dict[str, str]) -> None:
    """Fifty minutes of jobs that waited longer and longer, with a gap, and a schedule of a long name."""
    factories.make_schedule("testproject.shop.jobs.warm_the_bestsellers_of_all_our_shops_every_minute")
    for minute in (*range(1, 20), *range(28, 50)):
        ended_at = factories.ago(minutes=minute)
        for share in (0.1, 0.2, 0.2, 4):
            started_at = ended_at - timedelta(seconds=share)
            factories.make_attempt(
                factories.make_job(State.SUCCEEDED),
                outcome="succeeded",
                ready_at=started_at - timedelta(seconds=share * 300 / minute),
                started_at=started_at,
                finished_at=ended_at,
            )
    roll_up(min_age=timedelta(0))
    factories.make_worker()
    factories.make_jobs(5, queue_name="a_queue_with_quite_a_long_name")
    factories.make_jobs(5, queue_name="mail")
    factories.make_backlog(
        {
            "mail": [*range(40, 4_000, 200), *range(4_000, 0, -190)],
            "a_queue_with_quite_a_long_name": [5 * minute for minute in range(36)],
        }
    )


def _shows_times(visitor: Visitor, name: str) -> None:
    visitor.go("django_jobs_dashboard")
    legend = visitor.page.inner_text("#jobs-times .u-legend")
    assert [
        one for one in ("Wait time, 50%", "Wait time, 95%", "Run time, 50%", "Run time, 95%") if one not in legend
    ] == []
    width = visitor.page.locator("#jobs-times .u-over").bounding_box()["width"]
    visitor.page.hover("#jobs-times .u-over", position={"x": width * 0.9, "y": 20})
    assert "ms" in visitor.page.inner_text("#jobs-times .u-legend"), "the values under the cursor"
    assert "Arrived" in visitor.page.inner_text("#jobs-chart .u-legend")
    backlog_width = visitor.page.locator("#jobs-backlog .u-over").bounding_box()["width"]
    visitor.page.hover("#jobs-backlog .u-over", position={"x": backlog_width * 0.8, "y": 20})
    assert re.search(r"Waiting:?\s*[0-9,]{3,}", visitor.page.inner_text("#jobs-backlog .u-legend"))
    forecasts = visitor.page.locator(".jobs-queues .jobs-forecast").all_inner_texts()
    assert "growing by 5 a minute" in forecasts
    assert any(re.fullmatch(r"(empty at|[0-9]+ [A-Z].*) ?[0-9:]{5}|keeps up", text) for text in forecasts), forecasts
    visitor.picture(name)
    visitor.page.click("text=Charts as a table")
    assert visitor.page.locator(".jobs-as-table tbody tr").count() == 60
    assert visitor.grave_violations() == []
    assert not visitor.scrolls_sideways()
    assert visitor.mislaid() == []


@pytest.mark.usefixtures("history")
def test_wait_and_run_times_are_drawn_and_in_the_legend(visitor: Visitor) -> None:
    _shows_times(visitor, "dashboard-times")


@pytest.mark.dark
@pytest.mark.usefixtures("history")
def test_they_can_be_distinguished_in_the_dark(visitor: Visitor) -> None:
    _shows_times(visitor, "dashboard-times-dark")


@pytest.mark.phone
@pytest.mark.usefixtures("history")
def test_they_fit_on_a_phone(visitor: Visitor) -> None:
    _shows_times(visitor, "dashboard-times-phone")


def test_the_dashboard_moves_while_a_worker_runs(visitor: Visitor, worker: RunningWorker) -> None:
    visitor.go("django_jobs_dashboard")
    customer = Customer.objects.create(name="Ada")
    sample.count_visit_once.enqueue_many([(customer.pk,)] * 300)
    visitor.page.wait_for_function(
        "() => document.querySelector('.jobs-figure-succeeded .jobs-figure-value').textContent === '300'",
        timeout=60_000,
    )
    assert _shown(visitor, "Waiting") == "0"
    assert visitor.page.query_selector("#jobs-chart canvas")
    visitor.picture("dashboard-moving")


HIDE = """isHidden => {
    Object.defineProperty(document, "hidden", {configurable: true, get: () => isHidden});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_the_dashboard_asks_for_nothing_while_its_tab_is_hidden(visitor: Visitor) -> None:
    visitor.page.clock.install()
    visitor.go("django_jobs_dashboard")
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    with visitor.page.expect_request("**/dashboard/now/**"):
        visitor.page.clock.run_for(5_000)
    visitor.page.wait_for_load_state("networkidle")

    visitor.page.evaluate(HIDE, True)
    asked.clear()
    visitor.page.clock.run_for(60_000)
    assert asked == []
    assert "Updates paused while hidden" in visitor.page.inner_text("#jobs-state")

    with visitor.page.expect_request("**/dashboard/now/**"):
        visitor.page.evaluate(HIDE, False)


LINES = """where => {
    const canvas = document.querySelector(where + " canvas");
    const {data, width, height} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--jobs-deploy").trim();
    probe.fillRect(0, 0, 1, 1);
    const colour = probe.getImageData(0, 0, 1, 1).data;
    const is_in = (x, y) => [0, 1, 2].every(part => Math.abs(data[(y * width + x) * 4 + part] - colour[part]) < 8);
    const columns = [...Array(width).keys()].filter(
        x => [...Array(height).keys()].filter(y => is_in(x, y)).length > height * 0.4);
    return columns.filter((x, at) => x !== columns[at - 1] + 1).length;
}"""


def _shows_deploys(visitor: Visitor, name: str) -> None:
    for minutes, release in ((44, "4f2c1a7" + "0" * 33), (20, "release-2026-11-30.1"), (14, "v2"), (200, "older")):
        factories.make_deploy(release, first_seen_at=factories.ago(minutes=minutes))
    at = span_start(factories.ago().timestamp(), 600)
    for minutes, failed in ((-60, 4), (10, 61)):  # the second one is to come: the deploy is a few minutes old
        types = {"testproject.shop.jobs.sync_customer": [1_000 - failed, failed, 0, 1.5, [], []]}
        TypeRollup.objects.create(span_seconds=600, starts_at=at + timedelta(minutes=minutes), types=types)
    factories.make_letter(job_name="testproject.shop.jobs.sync_customer", error_class="builtins.KeyError")
    visitor.go("django_jobs_dashboard")
    told = visitor.page.inner_text(".jobs-health-warning >> nth=0").replace("\N{NO-BREAK SPACE}", " ")
    assert "sync_customer fails 6.1 % instead of 0.4 %; KeyError is new." in told
    for where in ("#jobs-chart", "#jobs-times"):
        assert visitor.page.evaluate(LINES, where) == 3
    releases = visitor.page.locator(".jobs-deploys strong").all_inner_texts()
    assert releases == ["v2", "release-2026-11-30.1", "4f2c1a7"]
    visitor.picture(name)
    assert visitor.grave_violations() == []
    assert not visitor.scrolls_sideways()
    assert visitor.mislaid() == []


@pytest.mark.usefixtures("history")
def test_deploys_are_lines_in_the_charts(visitor: Visitor) -> None:
    _shows_deploys(visitor, "dashboard-deploys")


@pytest.mark.dark
@pytest.mark.phone
@pytest.mark.usefixtures("history")
def test_deploys_are_lines_on_a_phone_in_the_dark(visitor: Visitor) -> None:
    _shows_deploys(visitor, "dashboard-deploys-phone-dark")
