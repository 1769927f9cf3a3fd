"""The page ``/metrics`` of real workers: one page sums all processes, also those that were killed."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from django_jobs.contrib.prometheus.names import COUNTERS, GAUGES
from django_jobs.models import Job, Queue, Worker
from tests.concurrency import wait_until
from tests.factories import make_schedule
from tests.metered import jobs as metered
from tests.misbehaving.jobs import wait_for_file
from tests.more_databases import environment
from tests.process.conftest import StartWorker
from tests.process.running import DEADLINE_SECONDS, RunningWorker, ended, wait_for_start
from tests.process.shards import enqueue_visits, settings_of
from tests.sampleapp.jobs import count_visit_here

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]
ENABLED: dict[str, Any] = {"METRICS": {"PROMETHEUS": True}}


class Page:
    """A scrape, read by prometheus-client's own parser."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        samples = [sample for family in self.families.values() for sample in family.samples]
        self.samples: Samples = {(one.name, tuple(sorted(one.labels.items()))): one.value for one in samples}
        assert len(self.samples) == len(samples), "no series is there twice"

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def counters(self) -> Samples:
        """The values that may never fall."""
        kept = {name for name, family in self.families.items() if family.type in {"counter", "histogram", "summary"}}
        names = {sample.name for name in kept for sample in self.families[name].samples}
        return {key: value for key, value in self.samples.items() if key[0] in names}


def _url(worker: RunningWorker, path: str) -> str:
    return worker.wait_for_line(r"health +(http://[\d.]+:\d+)/live and /ready")[1] + path


def _scrape(worker: RunningWorker) -> Page:
    with urllib.request.urlopen(_url(worker, "/metrics"), timeout=DEADLINE_SECONDS) as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        return Page(response.read().decode())


def _wait_for(worker: RunningWorker, expected: float, name: str, **labels: str) -> Page:
    """Scrape until a series has this value: a worker counts just after the commit that a test has seen."""

    def scrape() -> Page | None:
        page = _scrape(worker)
        return page if page(name, **labels) == expected else None

    found: Page = wait_until(scrape, f"{name}{labels} to be {expected}")
    return found


def _processes(folder: Path, names: Iterable[str]) -> list[int]:
    """Wait until these jobs run, and return the processes in which they do."""
    files = [folder / f"{name}.started" for name in names]
    return [
        int(wait_until(lambda file=file: file.exists() and file.read_text(), f"{file} to be written")) for file in files
    ]


def _runs(job: Any, outcome: str) -> dict[str, str]:
    return {"job": job.name, "queue": "default", "outcome": outcome}


def test_one_page_has_what_all_processes_count_and_a_killed_one_takes_nothing_away(
    start_worker: StartWorker, worker_environment: dict[str, str], tmp_path: Path
) -> None:
    worker_environment |= {
        "DJANGO_JOBS_TEST_APPS": "tests.metered", "DJANGO_JOBS_TEST_METERED": "1", "TMPDIR": str(tmp_path),
    }  # fmt: skip
    Queue.objects.create(name="later", paused_at="2026-01-01T00:00Z")
    for _ in range(3):
        metered.sell.using(queue_name="later").enqueue("DE", 1)
    metered.sell.using(run_after=timedelta(hours=1)).enqueue("DE", 1)
    make_schedule(job_name=metered.imported.name, arguments={"prefix": "nothing"})
    worker = start_worker("--health-port", "0", "--processes", "2", "--concurrency", "1", settings=ENABLED)
    worker.wait_for_line(r"metrics +http://[\d.]+:\d+/metrics")

    pair = [metered.sell_and_wait.enqueue(str(tmp_path), name) for name in "ab"]
    victim, other = _processes(tmp_path, "ab")
    assert victim != other, "each of the two processes runs one job"
    page = _wait_for(worker, 2, "shop_sales_total", country="LI")
    assert page("shop_busy") == 2
    os.kill(victim, signal.SIGKILL)

    # The supervisor counts what became of the run, and its replacement goes on.
    page = _wait_for(worker, 1, "django_jobs_runs_total", **_runs(metered.sell_and_wait, "lost"))
    assert page("shop_sales_total", country="LI") >= 2, "what the killed process had counted stays"
    (tmp_path / "go").touch()
    assert ended(*pair) == ["succeeded"] * 2, "the job of the killed process has run again"
    wait_until(lambda: Worker.objects.filter(state="running").count() == 2, "another process to be there")
    page = _wait_for(worker, 2, "django_jobs_runs_total", **_runs(metered.sell_and_wait, "succeeded"))
    assert page("shop_sales_total", country="LI") == 3
    before = page.counters()
    sold = [metered.sell.enqueue("CH", price) for price in (5, 50, 500)]
    refused = metered.refuse.enqueue()
    assert ended(*sold, refused) == ["succeeded"] * 3 + ["dead"]
    _wait_for(worker, 1, "django_jobs_runs_total", **_runs(metered.refuse, "failed"))
    page = _wait_for(worker, 3, "django_jobs_runs_total", **_runs(metered.sell, "succeeded"))

    after = page.counters()
    assert [key for key, value in before.items() if after.get(key, -1) < value] == [], "no counter has fallen"
    # The project's own metrics, made before the fork.
    assert page("shop_sales_total", country="CH") == 3
    assert page("shop_baskets_total") == 5 + 3
    assert (page("shop_price_bucket", le="10.0"), page("shop_price_bucket", le="+Inf")) == (1, 3)
    assert (page("shop_price_sum"), page("shop_weight_sum")) == (555, 6)
    assert (page("shop_busy"), page("shop_dearest")) == (0, 500)
    # Counted by the engine.
    assert page("django_jobs_run_seconds_count", job=metered.sell.name, queue="default") == 3
    assert page("django_jobs_wait_seconds_bucket", queue="default", le="+Inf") >= 5
    assert page("django_jobs_ticks_total", outcome="fired") == 1
    # Read from the database.
    assert page("django_jobs_database_up") == 1
    assert page("django_jobs_jobs", queue="later", state="ready") == 3
    assert page("django_jobs_jobs", queue="default", state="scheduled") == 1
    assert page("django_jobs_oldest_ready_seconds", queue="later") > 0
    assert (page("django_jobs_queue_paused", queue="later"), page("django_jobs_queue_paused", queue="default")) == (
        1,
        0,
    )
    assert page("django_jobs_dead_letters_open", queue="default") >= 1
    assert page("django_jobs_workers") == 2
    assert page("django_jobs_slots", state="busy") + page("django_jobs_slots", state="idle") == 2
    _check_declared(page)

    # The files of the killed process are added up and gone; in the end the directory is.
    [directory] = tmp_path.glob("django_jobs-metrics-*")
    assert not list(directory.glob(f"*_{victim}.db"))
    assert worker.stop() == 0
    assert not directory.exists()


def _check_declared(page: Page) -> None:
    """Compare our metrics with what is declared: names, types, and labels, of which none is an id."""
    declared = {metric.name.removesuffix("_total"): metric for metric in (*GAUGES, *COUNTERS)}
    ours = {name: family for name, family in page.families.items() if name.startswith("django_jobs_")}
    assert ours.keys() == declared.keys()
    for name, family in ours.items():
        assert family.type == declared[name].kind, name
        assert family.documentation == declared[name].help
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels == set(declared[name].labels), name


def test_spawned_processes_and_job_processes_count_too(
    start_worker: StartWorker, worker_environment: dict[str, str], tmp_path: Path
) -> None:
    worker_environment |= {
        "DJANGO_JOBS_TEST_APPS": "tests.metered", "DJANGO_JOBS_TEST_METERED": "1", "TMPDIR": str(tmp_path),
    }  # fmt: skip
    orphaned = tmp_path / "django_jobs-metrics-of-a-killed-one"
    orphaned.mkdir()
    (orphaned / "lock").touch()
    worker = start_worker(
        "--health-port", "0", "--concurrency", "1", "--pool", "processes", "--max-jobs", "1",
        settings=ENABLED, START_METHOD="spawn",
    )  # fmt: skip
    sold = [metered.sell.enqueue("CH", 1) for _ in range(3)]
    assert ended(*sold) == ["succeeded"] * 3
    assert len({job.refresh().result for job in sold}) > 1, "each job process ends after its job"
    page = _wait_for(worker, 3, "django_jobs_runs_total", **_runs(metered.sell, "succeeded"))
    assert page("shop_sales_total", country="CH") == 3
    assert not orphaned.exists()


def test_a_worker_without_the_setting_imports_nothing_of_it(
    start_worker: StartWorker, worker_environment: dict[str, str]
) -> None:
    worker_environment["DJANGO_JOBS_TEST_APPS"] = "tests.metered"
    prefixes = ("prometheus_client", "django_jobs.contrib.prometheus")
    found = [metered.imported.enqueue(prefix) for prefix in prefixes]
    worker = start_worker("--health-port", "0")
    assert ended(*found) == ["succeeded"] * 2
    assert [job.refresh().result for job in found] == [[], []]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(_url(worker, "/metrics"), timeout=DEADLINE_SECONDS)
    with refused.value as answer:
        assert (answer.code, "expected the path /live or /ready" in answer.read().decode()) == (404, True)
    assert Job.objects.count() == 2


def test_a_worker_of_several_databases_counts_each_run_under_its_own(
    start_worker: StartWorker, worker_environment: dict[str, str], eu_and_us: dict[str, Any], tmp_path: Path
) -> None:
    worker_environment |= environment(eu_and_us)
    settings = {**settings_of("default", "eu", "us"), **ENABLED}
    customers = enqueue_visits(2, "default", "eu", "us")
    held = wait_for_file.using(database="eu").enqueue(str(tmp_path / "go"))
    worker = start_worker("--health-port", "0", "--concurrency", "2", settings=settings)

    wait_for_start(tmp_path / "go")
    for alias in customers:
        _wait_for(worker, 2, "django_jobs_runs_total", database=alias, **_runs(count_visit_here, "succeeded"))
    os.kill(Worker.objects.using("eu").get().pid, signal.SIGKILL)
    # The supervisor counts the run of the killed process.
    page = _wait_for(worker, 1, "django_jobs_runs_total", database="eu", **_runs(wait_for_file, "lost"))
    assert page("django_jobs_run_seconds_count", database="us", job=count_visit_here.name, queue="default") == 2
    assert [page("django_jobs_database_up", database=alias) for alias in customers] == [1, 1, 1]
    (tmp_path / "go").touch()
    wait_until(lambda: held.refresh().state == "succeeded", "the job to run again")
    assert worker.stop() == 0, worker.output
