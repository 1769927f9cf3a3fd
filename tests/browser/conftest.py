"""A served project and a real browser. What the browser says in its console fails the test.

Playwright's own event loop runs in the test's thread, for which Django would refuse to use the database;
nothing asynchronous touches it here, so that guard is off for these tests.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.contrib.auth.models import User

from tests.databases import OUTPUT, chosen_vendor
from tests.programs import environment_of_programs
from tests.required import is_missing
from tests.serving import serving

from .visitor import PHONE, SCREEN, Visitor

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCREENSHOTS = OUTPUT / "screenshots" / "django-{}.{}".format(*django.VERSION)
"""Of each Django a folder, so that their pictures can be laid side by side."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in str(item.path) and chosen_vendor() != "sqlite":
            item.add_marker(pytest.mark.skip(reason="the browser visits one database, SQLite"))
        if "tests/browser" in str(item.path) and django.VERSION[:2] == (6, 0):
            item.add_marker(pytest.mark.skip(reason="the admin of Django 6.0 looks as that of 5.2"))


def chromium() -> str:
    """Return the browser's program; without one the test at hand ends."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    return program if program is not None else is_missing("Chromium (Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for one file's tests: for others the loop must not run, they run loops of their own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = chromium()
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with playwright.sync_playwright() as running:
            browser = running.chromium.launch(executable_path=program, args=list(FLAGS))
            yield browser
            browser.close()
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="module")
def address(django_db_setup: None) -> Iterator[str]:
    """Serve the project on the test database to all tests of a file and return its address."""
    environment = {**environment_of_programs(), "DJANGO_SETTINGS_MODULE": "tests.browser.settings"}
    with serving("wsgi", environment, options=("--insecure",)) as where:
        yield where


@pytest.fixture
def visitor(browser: Any, address: str, transactional_db: None, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """A superuser who has logged in. Marks: ``phone`` for its width, ``dark`` for its theme, ``rtl`` for Hebrew."""
    User.objects.create_superuser("ada", password="secret")
    is_phone = request.node.get_closest_marker("phone") is not None
    is_dark = request.node.get_closest_marker("dark") is not None
    is_rtl = request.node.get_closest_marker("rtl") is not None
    context = browser.new_context(
        viewport=PHONE if is_phone else SCREEN,
        color_scheme="dark" if is_dark else "light",
        locale="he" if is_rtl else "en",
    )
    screenshots = SCREENSHOTS if request.config.getoption("--pictures") else None
    visitor = Visitor(context.new_page(), address, screenshots)
    visitor.log_in("ada")
    yield visitor
    context.close()
    assert visitor.said == [], "\n".join(visitor.said)
