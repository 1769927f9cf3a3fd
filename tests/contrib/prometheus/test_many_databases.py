"""Metrics of jobs in several databases: a label names the database, and one that does not answer is told apart."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import Client, override_settings
from prometheus_client import values
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from django_jobs import observers
from django_jobs.conf.database import use_database
from django_jobs.contrib.prometheus.counters import count_in, stop_counting
from django_jobs.contrib.prometheus.names import GAUGES
from django_jobs.contrib.prometheus.page import MetricsPage
from django_jobs.models import Queue
from django_jobs.policy.decide import SUCCEEDED_WITHOUT_RESULT
from django_jobs.store.dialects.base.jobs import Claim, FinishedRun
from django_jobs.store.stats.gauges import read_gauges, read_gauges_of_each
from django_jobs.web.tokens import create_token
from tests.databases import chosen_vendor
from tests.factories import ago
from tests.more_databases import known, silent
from tests.sampleapp.jobs import echo
from tests.statements import counted

ALIASES = ("default", "eu", "us")
NUMBERS = {"default": 1, "eu": 2, "us": 3}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def backlogs(eu_and_us: dict[str, Any]) -> dict[str, Any]:
    """One job in ``default``, two in ``eu`` and three in ``us``, of the same queue."""
    for alias, number in NUMBERS.items():
        for _ in range(number):
            echo.using(database=alias, queue_name="mail").enqueue("a")
    return eu_and_us


@pytest.fixture
def page(files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MetricsPage]:
    monkeypatch.setattr("tempfile.tempdir", str(files))
    monkeypatch.setenv("DJANGO_JOBS_METRICS_DIR", "")
    page = MetricsPage()
    page.open()
    yield page
    values.close_all_multiprocess_files()
    page.close()


def _samples(content: bytes) -> Samples:
    families = list(text_string_to_metric_families(content.decode()))
    assert len({family.name for family in families}) == len(families), "the series of a metric stand together"
    samples = [sample for family in families for sample in family.samples]
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for one in samples}


def _by_database(samples: Samples, name: str, **labels: str) -> dict[str, float]:
    """Return the values of a metric with these labels, by the label ``database``."""
    return {
        dict(found)["database"]: value
        for (metric, found), value in samples.items()
        if metric == name and labels.items() <= dict(found).items()
    }


def _get(query: str = "") -> Any:
    _, token = create_token("monitoring", reads_metrics=True)
    return Client().get(f"/jobs/metrics/{query}", headers={"authorization": f"Bearer {token}"})


def _drop_tables(entry: dict[str, Any], alias: str) -> None:
    """Have each read of a database fail, as one does that is not migrated."""
    connections[alias].close()
    Path(entry["NAME"]).write_bytes(b"")


def test_each_gauge_names_its_database(backlogs: dict[str, Any], page: MetricsPage) -> None:
    Queue.objects.using("eu").update_or_create(name="mail", defaults={"paused_at": ago(minutes=1)})
    for samples in (_samples(_get().content), _samples(page.render()[0])):
        assert _by_database(samples, "django_jobs_jobs", queue="mail", state="ready") == NUMBERS
        assert _by_database(samples, "django_jobs_queue_paused", queue="mail") == {"default": 0, "eu": 1, "us": 0}
        assert _by_database(samples, "django_jobs_database_up") == dict.fromkeys(ALIASES, 1)
        shown = {name for name, _ in samples}
        assert shown == {gauge.name for gauge in GAUGES}
        assert all("database" in dict(labels) for _, labels in samples)


def test_json_has_each_database_and_the_sums_of_a_queue(backlogs: dict[str, Any]) -> None:
    every = _get("?format=json").json()["databases"]
    assert {alias: found["queues"]["mail"]["ready"] for alias, found in every.items()} == NUMBERS

    mail = _get("?format=json&queue=mail").json()
    assert (mail["queue"], mail["ready"], mail["ready_or_running"], mail["paused"]) == ("mail", 6, 6, False)
    assert {alias: found["ready"] for alias, found in mail["databases"].items()} == NUMBERS

    Queue.objects.using("eu").update_or_create(name="mail", defaults={"paused_at": ago(minutes=1)})
    assert _get("?format=json&queue=mail").json()["paused"] is False
    for alias in ALIASES:
        Queue.objects.using(alias).update_or_create(name="mail", defaults={"paused_at": ago(minutes=1)})
    assert _get("?format=json&queue=mail").json()["paused"] is True


def test_a_database_that_cannot_be_read_is_told_and_left_out(
    backlogs: dict[str, Any], page: MetricsPage, caplog: pytest.LogCaptureFixture
) -> None:
    _drop_tables(backlogs["eu"], "eu")
    with caplog.at_level(logging.WARNING, "django_jobs.store"):
        for samples in (_samples(_get().content), _samples(page.render()[0])):
            assert _by_database(samples, "django_jobs_database_up") == {"default": 1, "eu": 0, "us": 1}
            assert _by_database(samples, "django_jobs_jobs", queue="mail", state="ready") == {"default": 1, "us": 3}
    assert caplog.text.count("pages leave database 'eu' out until it answers: ") == 1, "not for each scrape"

    assert _get("?format=json").json()["databases"]["eu"] is None
    mail = _get("?format=json&queue=mail").json()
    assert (mail["ready"], mail["databases"]["eu"]) == (4, None)

    connections["eu"].close()
    call_command("migrate", database="eu", run_syncdb=True, verbosity=0)
    assert _by_database(_samples(_get().content), "django_jobs_database_up") == dict.fromkeys(ALIASES, 1)


def test_a_frozen_database_does_not_hold_the_page(backlogs: dict[str, Any], page: MetricsPage) -> None:
    with silent(chosen_vendor()) as frozen, known({"asia": frozen}, DATABASES=[*ALIASES, "asia"]):
        for samples in (_samples(_get().content), _samples(page.render()[0])):
            assert _by_database(samples, "django_jobs_database_up")["asia"] == 0
            assert _by_database(samples, "django_jobs_jobs", queue="mail", state="ready") == NUMBERS


def test_counters_name_the_database_of_the_thread_that_saved_the_run(eu_and_us: dict[str, Any], files: Path) -> None:
    claim = Claim(1, 1, echo.name, "mail", 0, 1, 5, "{}", "{}", 100.0, 100.0, None, 102.0)
    run = FinishedRun(claim, SUCCEEDED_WITHOUT_RESULT, 102.0, 105.0)
    count_in(str(files))
    try:
        for alias, number in NUMBERS.items():
            with use_database(alias):
                observers.tell_runs_ended([run] * number)
        observers.tell_ticks_decided({"fired": 7})
        metrics: list[Any] = list(MultiProcessCollector(None, path=str(files)).collect())
    finally:
        stop_counting()
        values.close_all_multiprocess_files()
    samples = {(one.name, tuple(sorted(one.labels.items()))): one.value for found in metrics for one in found.samples}
    assert _by_database(samples, "django_jobs_runs_total", job=echo.name, outcome="succeeded", queue="mail") == NUMBERS
    assert _by_database(samples, "django_jobs_wait_seconds_count", queue="mail") == NUMBERS
    assert _by_database(samples, "django_jobs_run_seconds_count", job=echo.name) == NUMBERS
    assert _by_database(samples, "django_jobs_ticks_total") == {"default": 7}


@pytest.mark.django_db
@pytest.mark.parametrize("options", [{}, {"DATABASES": ["default"]}])
def test_one_database_has_no_label_and_no_statement_more(options: dict[str, Any]) -> None:
    with override_settings(DJANGO_JOBS=options):
        read_gauges()  # learns the version of the server
        with counted() as alone:
            read_gauges()
        with counted() as each:
            read_gauges_of_each()
        content = _get().content.decode()
    assert len(each.texts) == len(alone.texts) > 0
    assert "database=" not in content
    assert "\ndjango_jobs_workers 0.0\n" in content
    assert "\ndjango_jobs_database_up 1.0\n" in content
