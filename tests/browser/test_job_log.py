"""A job's page in a browser while a real worker runs it: its lines come by themselves, and its end does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.misbehaving import jobs as misbehaving
from tests.process.running import RunningWorker, wait_for_start

from .visitor import Visitor


@pytest.fixture
def worker(worker_environment: dict[str, str]) -> Iterator[RunningWorker]:
    worker = RunningWorker(worker_environment)
    yield worker
    worker.kill()


def _is_read_live(visitor: Visitor, tmp_path: Path, picture: str) -> None:
    job = misbehaving.say_when_told.enqueue(str(tmp_path))
    wait_for_start(tmp_path / "first")
    visitor.go("django_jobs_job_change", job.pk)
    assert "the first line" not in visitor.text()

    (tmp_path / "first").touch()
    visitor.wait_for_text("<b>the first line</b>")
    visitor.wait_for_text("said first")
    visitor.picture(picture)
    assert visitor.grave_violations() == []
    assert not visitor.scrolls_sideways()

    (tmp_path / "second").touch()
    visitor.page.wait_for_selector("#job-running", state="detached", timeout=60_000)
    visitor.page.locator("details:has-text('the second line') > summary").last.click()
    visitor.wait_for_text("<b>the second line</b>")
    visitor.picture(f"{picture}-ended")
    assert visitor.grave_violations() == []


@pytest.mark.usefixtures("worker")
def test_a_jobs_lines_appear_while_it_runs(visitor: Visitor, tmp_path: Path) -> None:
    _is_read_live(visitor, tmp_path, "job-log")


@pytest.mark.dark
@pytest.mark.usefixtures("worker")
def test_they_are_readable_in_the_dark(visitor: Visitor, tmp_path: Path) -> None:
    _is_read_live(visitor, tmp_path, "job-log-dark")


@pytest.mark.phone
@pytest.mark.usefixtures("worker")
def test_they_fit_on_a_phone(visitor: Visitor, tmp_path: Path) -> None:
    _is_read_live(visitor, tmp_path, "job-log-phone")
