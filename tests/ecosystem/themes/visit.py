"""Open every page of the admin under one theme; ``test_themes.py`` runs this with the theme's settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import sync_playwright

from django_jobs.models import DeadLetter, Queue, Tick
from tests.browser.conftest import FLAGS, SCREENSHOTS, chromium
from tests.browser.test_pages import rows  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)

THEME = os.environ["ADMIN_THEME"]
SEEN = ("dashboard", "deadlettergroups", "job_change", "deadletter_change", "deadletter_changelist", "job_purge")
"""Pages that are looked at in the browser, too: each kind of table, button and form once."""
TITLES = {"dashboard": "Dashboard", "deadlettergroups": "Dead letters by error"}
"""What the heading of a page says that is no list and no row of a model."""
UNREADABLE = """() => {
    const ours = [...document.querySelectorAll(".job-page .button, .jobs-dashboard .button")];
    const bare = ours.filter(one => {
        const style = getComputedStyle(one);
        const isPlain = style.backgroundColor === "rgba(0, 0, 0, 0)" && style.borderTopColor === "rgba(0, 0, 0, 0)";
        return isPlain || one.scrollWidth > one.clientWidth + 2 || style.backgroundColor === style.color;
    }).map(one => "no button: " + one.outerHTML);
    const tables = [...document.querySelectorAll(".jobs-table :is(th, td), .jobs-columns :is(th, td)")]
        .filter(one => parseFloat(getComputedStyle(one).paddingInlineStart) < 4)
        .map(one => "a cell without a margin: " + one.outerHTML);
    const marks = [...document.querySelectorAll(".job-state")]
        .filter(one => getComputedStyle(one, "::before").backgroundColor === "rgba(0, 0, 0, 0)")
        .map(one => "a state without a mark: " + one.outerHTML);
    const dots = [...document.querySelectorAll(".jobs-tool")]
        .filter(one => getComputedStyle(one).listStyleType !== "none")
        .map(one => "a tool with a dot: " + one.outerHTML);
    return [...bare, ...tables, ...marks, ...dots];
}"""


@pytest.fixture
def page() -> Iterator[Any]:
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield browser.new_page(viewport={"width": 1366, "height": 900})
        browser.close()


def addresses(rows: dict[str, Any]) -> dict[str, str]:  # noqa: F811 - the fixture's value
    """Return the address of every page by its name."""
    pages: dict[str, tuple[Any, ...]] = {"dashboard": (), "deadlettergroups": (), "cronschedule_add": ()}
    for model, pk in rows.items():
        pages |= {f"{model}_changelist": (), f"{model}_change": (pk,)}
    pages |= {
        "web_token_add": (),
        "deadlettergroup": (DeadLetter.objects.get(pk=rows["deadletter"]).fingerprint,),
        "deadletter_bulk_start": ("redrive",),
    }
    pages |= {"job_copy": (rows["job"],), "job_purge": (rows["job"],), "limit_reopen": (rows["limit"],)}
    return {name: reverse(f"admin:django_jobs_{name}", args=args) for name, args in pages.items()}


def test_every_page_opens_and_what_is_on_it_can_be_read(
    live_server: Any,
    page: Any,
    rows: dict[str, Any],  # noqa: F811 - the fixture
    client: Client,
) -> None:
    client.force_login(User.objects.create_superuser("ada", password="secret"))
    pages = addresses(rows)
    answers = {name: client.get(address, follow=True).status_code for name, address in pages.items()}
    assert {name: code for name, code in answers.items() if code != 200} == {}
    cookie = client.cookies["sessionid"]
    page.context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    faults = []
    for name in SEEN:
        assert page.goto(live_server.url + pages[name]).status == 200
        page.screenshot(path=Path(SCREENSHOTS) / f"theme-{THEME}-{name}.png")
        faults += [f"{name}: {fault[:300]}" for fault in page.evaluate(UNREADABLE)]
        headings = " ".join(page.locator("h1").all_inner_texts())
        faults += [f"{name}: its headings are {headings}"] * (TITLES.get(name, "") not in headings)
    page.goto(live_server.url + pages["job_changelist"])
    faults += page.evaluate(UNREADABLE)
    page.keyboard.press("Control+k")
    page.wait_for_selector("dialog.jobs-find[open] [role=option]")
    page.screenshot(path=Path(SCREENSHOTS) / f"theme-{THEME}-find.png")
    assert faults == [], "\n".join(faults)
    press(page, live_server.url + pages["cronschedule_change"], "Run now")
    assert Tick.objects.filter(requested_by="ada").exists()
    page.goto(live_server.url + pages["queue_change"])
    page.fill("#max-running", "7")
    press(page, None, "Set")
    assert Queue.objects.get(pk=rows["queue"]).max_running == 7


def press(page: Any, address: str | None, text: str) -> None:
    """Press a button above a page: some themes have it in the page's own form, where no form of its own can be."""
    if address is not None:
        page.goto(address)
    with page.expect_navigation():
        page.click(f"button[formaction]:text-is('{text}')")
