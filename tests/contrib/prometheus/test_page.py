"""The page of one runworker, without processes: what it shows while the database does not answer, or another reads."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from django_jobs import observers
from django_jobs.contrib.prometheus import page as page_module
from django_jobs.contrib.prometheus.page import MetricsPage
from tests.factories import make_job
from tests.trouble import Trouble

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MetricsPage]:
    from prometheus_client import values

    monkeypatch.setattr(tempfile, "tempdir", str(files))
    monkeypatch.setenv("DJANGO_JOBS_METRICS_DIR", "")
    page = MetricsPage()
    page.open()
    yield page
    values.close_all_multiprocess_files()
    page.close()
    assert list(files.iterdir()) == []


def _shown(page: MetricsPage) -> dict[str, float]:
    content, content_type = page.render()
    assert content_type.startswith("text/plain")
    families = text_string_to_metric_families(content.decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_counters_are_shown_while_the_database_cannot_be_used(
    page: MetricsPage, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    make_job()
    observers.tell_ticks_decided({"fired": 3})
    assert _shown(page).items() >= {"django_jobs_database_up": 1, "django_jobs_jobs": 0}.items()
    trouble.unreachable()
    for _ in range(2):
        assert _shown(page) == {"django_jobs_database_up": 0, "django_jobs_ticks_total": 3}
    trouble.end()
    assert _shown(page)["django_jobs_database_up"] == 1
    assert caplog.text.count("/metrics has no gauges: ") == 1, "not for each scrape"


def test_a_scrape_that_another_holds_up_goes_without_gauges(page: MetricsPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "WAIT_SECONDS", 0.01)
    with page._reading:
        assert _shown(page) == {"django_jobs_database_up": 0}
    assert _shown(page)["django_jobs_database_up"] == 1


def test_a_file_that_is_just_being_made_is_no_reason_to_fail_for_good(page: MetricsPage) -> None:
    observers.tell_ticks_decided({"fired": 1})
    begun = page._directory / f"summary_{os.getppid()}.db"
    begun.touch()
    with pytest.raises(Exception, match="unpack"):
        page.render()
    begun.unlink()
    assert _shown(page)["django_jobs_ticks_total"] == 1


def test_a_directory_in_use_is_left_alone(page: MetricsPage) -> None:
    second = MetricsPage()
    second.open()
    try:
        assert page._directory.exists()
        assert second._directory != page._directory
    finally:
        second.close()
