"""The search of everything, by keys as they are pressed: opened, typed into, steered, followed and left."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from tests import factories

from .visitor import Visitor

DIALOG = "dialog.jobs-find"


@pytest.fixture
def rows(worker_environment: dict[str, str]) -> dict[str, Any]:
    factories.make_queue("reporting")
    factories.make_schedule("nightly report", job_name="shop.report")
    return {"job": factories.make_job(name="shop.report"), "worker": factories.make_worker(hostname="report-1")}


def _options(visitor: Visitor) -> list[str]:
    return [one.replace("\n", " ") for one in visitor.page.locator(f"{DIALOG} [role=option]").all_inner_texts()]


def _chosen(visitor: Visitor) -> str:
    """Return the option that a screen reader is told of."""
    active = visitor.page.get_attribute(f"{DIALOG} input", "aria-activedescendant")
    option = visitor.page.locator(f"#{active}")
    assert option.get_attribute("aria-selected") == "true"
    return str(option.inner_text()).replace("\n", " ")


def _type(visitor: Visitor, text: str, expected: str) -> None:
    visitor.page.keyboard.type(text)
    visitor.page.wait_for_selector(f"{DIALOG} [role=option]:has-text('{expected}')")


@pytest.mark.every_version
@pytest.mark.usefixtures("rows")
def test_what_is_typed_is_found_steered_to_and_opened_by_keys(visitor: Visitor) -> None:
    visitor.go("django_jobs_worker_changelist")
    visitor.page.keyboard.press("Control+k")
    visitor.page.wait_for_selector(f"{DIALOG} [role=option]:has-text('Dashboard')")
    assert visitor.page.evaluate("() => document.activeElement.getAttribute('role')") == "combobox"
    _type(visitor, "reporting", "reporting")
    assert _chosen(visitor) == "reporting"
    visitor.page.keyboard.press("Control+a")
    _type(visitor, "report", "nightly report")
    first, *_, last = _options(visitor)
    assert _chosen(visitor) == first
    visitor.page.keyboard.press("ArrowUp")
    assert _chosen(visitor) == last
    visitor.page.keyboard.press("ArrowDown")
    assert _chosen(visitor) == first
    while "nightly report" not in _chosen(visitor):
        visitor.page.keyboard.press("ArrowDown")
    visitor.picture("find")
    for link in ("a.jobs-find-link", f"{DIALOG} [role=option]"):
        assert visitor.page.locator(link).first.evaluate("one => getComputedStyle(one).textDecorationLine") == "none"
    assert visitor.grave_violations() == []
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/cronschedule/**")


def test_a_slash_opens_it_but_not_in_a_field_and_escape_gives_the_focus_back(
    visitor: Visitor, rows: dict[str, Any]
) -> None:
    visitor.go("django_jobs_job_changelist")
    visitor.page.focus("#searchbar")
    visitor.page.keyboard.press("/")
    assert visitor.page.input_value("#searchbar") == "/"
    assert visitor.page.query_selector(f"{DIALOG}[open]") is None
    visitor.page.focus("a.jobs-find-link")
    visitor.page.keyboard.press("/")
    visitor.page.wait_for_selector(f"{DIALOG}[open]")
    _type(visitor, str(rows["job"].pk), "shop.report")
    visitor.page.keyboard.press("Escape")
    assert visitor.page.query_selector(f"{DIALOG}[open]") is None
    assert visitor.page.evaluate("() => document.activeElement.className") == "jobs-find-link"


def test_an_answer_that_does_not_come_is_said(visitor: Visitor) -> None:
    visitor.go("django_jobs_job_changelist")
    visitor.page.route("**/find/results/**", lambda route: route.fulfill(status=500))
    visitor.page.click("a.jobs-find-link")
    visitor.wait_for_text("The search did not answer.")
    assert visitor.page.get_attribute(f"{DIALOG} input", "aria-expanded") == "false"
    visitor.said.clear()  # the browser's own line about the answer


@pytest.mark.dark
@pytest.mark.phone
@pytest.mark.usefixtures("rows")
def test_it_fits_on_a_phone_in_the_dark(visitor: Visitor) -> None:
    visitor.go("app_list", "django_jobs")
    visitor.page.click("a.jobs-find-link")
    _type(visitor, "report", "nightly report")
    visitor.picture("find-phone-dark")
    assert visitor.grave_violations() == []
    assert not visitor.scrolls_sideways()


@pytest.mark.usefixtures("rows")
def test_its_page_needs_no_script(visitor: Visitor) -> None:
    visitor.go("django_jobs_find", query="?q=report")
    assert "nightly report" in visitor.text()
    visitor.picture("find-page")
    assert visitor.grave_violations() == []
    assert visitor.mislaid() == []
    visitor.page.fill("#jobs-find-q", "report-1")
    visitor.page.keyboard.press("Enter")
    visitor.page.click("text=report-1:")
    visitor.page.wait_for_url(f"**{reverse('admin:django_jobs_worker_changelist')}*/change/")
