"""The progress bar in a real browser, while a real worker runs the job: by event stream, by long polls, by neither."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from django_jobs.web import status_url
from tests.misbehaving import jobs as misbehaving
from tests.process.conftest import StartWorker, start_worker
from tests.programs import environment_of_programs
from tests.sampleapp import jobs as sample
from tests.serving import Interface, serving

from .conftest import FLAGS, SCREENSHOTS, chromium
from .visitor import SCREEN, Visitor

__all__ = ["start_worker"]

BAR = "progress[role=progressbar]"
QUICKLY = {"POLL_INTERVAL": 0.05}


def _serving(interface: str, environment: dict[str, str], **options: Any) -> Any:
    served = {
        **environment,
        "DJANGO_SETTINGS_MODULE": "tests.browser.settings",
        "DJANGO_JOBS_TEST_OPTIONS": json.dumps({"STATUS": {**QUICKLY, **options}}),
    }
    return serving(
        cast("Interface", interface),
        served,
        options=("--insecure",),
        application="tests.browser.asgi:application",
    )


@pytest.fixture(scope="module")
def addresses(django_db_setup: None) -> Iterator[dict[str, str]]:
    """Serve the project to all tests of this file: with event streams and without."""
    environment = environment_of_programs()
    with _serving("asgi", environment) as asgi, _serving("wsgi", environment) as wsgi:
        yield {"asgi": asgi, "wsgi": wsgi}


@pytest.fixture(params=["asgi", "wsgi"])
def anybody(
    request: pytest.FixtureRequest, browser: Any, addresses: dict[str, str], transactional_db: None
) -> Iterator[Any]:
    """Somebody who has not logged in, at a server with event streams and at one without."""
    context = browser.new_context(viewport=SCREEN)
    visitor = Visitor(context.new_page(), addresses[request.param], SCREENSHOTS)
    visitor.interface = request.param  # type: ignore[attr-defined]
    yield visitor
    context.close()
    assert visitor.said == [], "\n".join(visitor.said)


def _open(visitor: Visitor, path: str) -> None:
    visitor.page.goto(visitor.address + path)


def _bar(visitor: Visitor) -> tuple[str | None, str | None]:
    bar = visitor.page.locator(BAR)
    return bar.get_attribute("value"), bar.get_attribute("max")


def test_the_bar_moves_by_itself_and_ends_with_the_result(
    anybody: Visitor, start_worker: StartWorker, tmp_path: Path
) -> None:
    job = misbehaving.count_files.enqueue(str(tmp_path / "file"), 2)
    _open(anybody, f"/export/{job.pk}/")
    page = anybody.page
    has_stream = page.locator("[data-events]").count() == 1
    assert has_stream == (anybody.interface == "asgi")  # type: ignore[attr-defined]
    assert _bar(anybody) == (None, None)
    assert page.locator("[role=status][aria-live=polite]").inner_text() == "Waiting"
    page.evaluate(
        "() => { window.ends = 0; document.addEventListener('django-jobs:end', () => { window.ends += 1; }); }"
    )
    start_worker()
    anybody.wait_for_text("In progress")
    (tmp_path / "file.1").touch()
    anybody.wait_for_text("In progress: 1 / 2 \u2013 file 1")
    assert _bar(anybody) == ("1", "2")
    assert anybody.grave_violations() == []
    anybody.picture(f"progress-{anybody.interface}")  # type: ignore[attr-defined]
    (tmp_path / "file.2").touch()
    anybody.wait_for_text("Done")
    assert _bar(anybody) == ("2", "2")
    assert page.evaluate("window.ends") == 1
    page.get_by_text("Show the result").click()
    anybody.wait_for_text('{"result": 2}')


def test_the_status_page_shows_the_result_when_there_is_one(
    anybody: Visitor, start_worker: StartWorker, tmp_path: Path
) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), "done")
    _open(anybody, status_url(job))
    anybody.wait_for_text("Waiting")
    (tmp_path / "go").touch()
    start_worker()
    anybody.wait_for_text("Done")
    anybody.page.get_by_text("Show the result").click()
    anybody.wait_for_text('{"result": "done"}')


def test_a_failure_has_a_general_message(anybody: Visitor, start_worker: StartWorker) -> None:
    job = sample.fail.enqueue("the disk is full")
    _open(anybody, status_url(job))
    start_worker()
    anybody.wait_for_text("It failed and will not be retried")
    assert "the disk is full" not in anybody.text()
    assert "Failed" in anybody.text()
    assert anybody.grave_violations() == []


@pytest.fixture
def browser_without_scripts(browser: Any) -> Iterator[Any]:
    """A browser that runs no script at all: not ours, and none by which Playwright would look into the page."""
    other = browser.browser_type.launch(
        executable_path=chromium(), args=[*FLAGS, "--blink-settings=scriptEnabled=false"]
    )
    yield other
    other.close()


def _is_of_success(response: Any) -> bool:
    """Tell whether this is the last page, which stays; of one that was left meanwhile there is nothing to read."""
    from playwright.sync_api import Error

    try:
        return "django-jobs-succeeded" in response.text()
    except Error:
        return False


def test_without_scripts_the_page_refreshes(
    browser_without_scripts: Any, addresses: dict[str, str], start_worker: StartWorker
) -> None:
    job = sample.add.enqueue(1, 2)
    page = browser_without_scripts.new_page()
    page.goto(addresses["wsgi"] + status_url(job))
    with page.expect_response(_is_of_success):
        start_worker()


def test_a_page_without_a_stream_polls(
    browser: Any, worker_environment: dict[str, str], start_worker: StartWorker
) -> None:
    job = sample.add.enqueue(1, 2)
    with _serving("asgi", worker_environment, MAX_WAITERS=0) as address:
        context = browser.new_context()
        visitor = Visitor(context.new_page(), address, SCREENSHOTS)
        _open(visitor, f"/export/{job.pk}/")
        visitor.wait_for_text("Waiting")
        start_worker()
        visitor.wait_for_text("Done")
        context.close()
        assert [one for one in visitor.said if "503" not in one] == []
