"""Errors are triaged by keys in a real browser: focus, addresses, the switch, and the same page without a script."""

from __future__ import annotations

from typing import Any

import pytest

from django_jobs.models import DeadLetter, DeadLetterGroup
from tests import factories
from tests.concurrency import wait_until

from .visitor import COLOURS, Visitor

A, B, C = "a" * 32, "b" * 32, "c" * 32
WIDE = {"width": 1440, "height": 900}
FOCUS = "() => document.activeElement.dataset.fingerprint ?? document.activeElement.className"


@pytest.fixture
def errors() -> None:
    """Three errors, the newest first: C, B, A."""
    for fingerprint, name in ((A, "KeyError"), (B, "NoCard"), (C, "Timeout")):
        for _ in range(2):
            factories.make_letter(fingerprint=fingerprint, error_class=f"shop.{name}", traceback=f"Traceback of {name}")


def _wait_for_evidence(page: Any, name: str) -> None:
    page.wait_for_function(
        "name => document.querySelector('#triage-evidence:not([aria-busy]) .triage-title')?.innerText.includes(name)",
        arg=name,
    )


def _wait_for_status(page: Any, text: str) -> None:
    page.wait_for_function("text => document.getElementById('triage-status').textContent.includes(text)", arg=text)


def _status_of(fingerprint: str) -> set[str]:
    return set(DeadLetter.objects.filter(fingerprint=fingerprint).values_list("status", flat=True))


@pytest.mark.every_version
def test_errors_are_triaged_by_keys(visitor: Visitor, errors: None) -> None:
    page = visitor.page
    page.set_viewport_size(WIDE)
    visitor.go("django_jobs_deadlettergroups")
    _wait_for_evidence(page, "Timeout")
    page.keyboard.press("j")
    _wait_for_evidence(page, "NoCard")
    assert page.evaluate(FOCUS) == B
    assert page.url.endswith(f"/groups/{B}/")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("k")
    _wait_for_evidence(page, "Timeout")
    page.keyboard.press("j")
    _wait_for_evidence(page, "NoCard")
    page.keyboard.press("o")
    page.wait_for_function("() => document.activeElement.className === 'triage-title'")

    page.keyboard.press("j")  # and at once, before the evidence of A is there:
    page.keyboard.press("e")
    _wait_for_status(page, "Resolved: 2 dead letters are closed.")
    assert _status_of(A) == {"resolved"}
    assert _status_of(B) == {"open"}
    _wait_for_evidence(page, "NoCard")
    assert page.evaluate(FOCUS) == B, "the next error has the focus"
    page.keyboard.press("u")
    _wait_for_status(page, "Undone: 2 dead letters are open again.")
    assert _status_of(A) == {"open"}
    assert page.evaluate(FOCUS) == A

    page.keyboard.press("m")
    _wait_for_status(page, "Muted")
    assert DeadLetterGroup.objects.get(pk=A).muted_by == "ada"
    assert page.locator("#triage-list a").count() == 2
    page.keyboard.press("u")
    _wait_for_status(page, "Unmuted.")
    assert DeadLetterGroup.objects.get(pk=A).muted_at is None

    page.keyboard.press("r")
    page.wait_for_url("**/bulk/redrive/**")
    assert page.input_value("input[name=first]") == "10"
    page.go_back()
    _wait_for_evidence(page, "KeyError")
    page.keyboard.press("p")
    page.wait_for_url("**/bulk/purge/**")
    visitor.wait_for_text("2 open dead letters match.")
    assert _status_of(A) == {"open"}


@pytest.mark.every_version
def test_keys_are_off_in_fields_in_the_dialog_and_where_they_are_switched_off(visitor: Visitor, errors: None) -> None:
    page = visitor.page
    page.set_viewport_size(WIDE)
    visitor.go("django_jobs_deadlettergroup", B)
    page.focus("#id_note")
    page.keyboard.type("jem?")
    assert page.input_value("#id_note") == "jem?"
    assert not page.locator("#triage-keys[open]").count()
    page.locator(".triage-title").focus()
    page.keyboard.press("?")
    page.wait_for_selector("#triage-keys[open]")
    visitor.picture("triage-keys")
    assert visitor.grave_violations() == []
    page.keyboard.press("e")
    page.keyboard.press("Escape")
    page.wait_for_selector("#triage-keys[open]", state="detached")
    assert page.evaluate(FOCUS) == "triage-title", "the focus is back"
    page.get_by_role("button", name="Keys").click()
    page.uncheck("#triage-keys-on")
    page.keyboard.press("Escape")
    page.reload()
    for key in "jem?":
        page.keyboard.press(key)
    assert page.url.endswith(f"/groups/{B}/")
    assert _status_of(B) == {"open"}
    page.fill("#id_note", "the bank knows")
    page.get_by_role("button", name="Save note").click()
    _wait_for_status(page, "Note saved.")
    assert DeadLetterGroup.objects.get(pk=B).note == "the bank knows"
    page.get_by_role("button", name="Keys").click()
    page.check("#triage-keys-on")
    page.keyboard.press("Escape")
    page.locator(".triage-title").focus()
    page.keyboard.press("j")
    _wait_for_evidence(page, "KeyError")


@pytest.mark.every_version
def test_a_click_has_an_address_and_back_goes_back(visitor: Visitor, errors: None) -> None:
    page = visitor.page
    page.set_viewport_size(WIDE)
    visitor.go("django_jobs_deadlettergroup", C)
    page.click("#triage-list >> text=NoCard")
    _wait_for_evidence(page, "NoCard")
    assert page.url.endswith(f"/groups/{B}/")
    page.go_back()
    _wait_for_evidence(page, "Timeout")
    page.route("**/evidence/**", lambda route: route.abort())
    page.keyboard.press("j")
    _wait_for_status(page, "That did not work")
    page.keyboard.press("e")
    page.wait_for_timeout(0)
    assert _status_of(B) == _status_of(C) == {"open"}, "no key acts on an error whose evidence is not there"
    visitor.said.clear()  # the browser says that a request was cut off, as it was


@pytest.mark.every_version
@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_the_page_fits_and_is_fit_for_everybody(visitor: Visitor, errors: None, width: int) -> None:
    page = visitor.page
    page.set_viewport_size({"width": width, "height": 900})
    for name, args in (("groups", ()), ("group", (B,))):
        visitor.go(f"django_jobs_deadletter{name}", *args)
        if args or width > 390:
            _wait_for_evidence(page, "NoCard" if args else "Timeout")
        visitor.picture(f"triage-{name}-{width}")
        assert visitor.grave_violations() == []
        visitor.prefer("dark")
        assert visitor.grave_violations(rules=COLOURS) == []
        visitor.picture(f"triage-{name}-dark-{width}")
        visitor.prefer("light")
        assert visitor.mislaid() == []
        assert not visitor.scrolls_sideways()
    is_narrow = width == 390
    assert page.locator("#triage-list").is_visible() is not is_narrow
    assert page.locator(".triage-back").is_visible() is is_narrow
    if is_narrow:
        page.click(".triage-back a")
        page.wait_for_url("**/groups/")
        page.wait_for_selector("#triage-list a >> visible=true")
        page.wait_for_load_state()
        page.keyboard.press("j")
        page.keyboard.press("j")
        assert page.evaluate(FOCUS) == B
        page.keyboard.press("Enter")
        _wait_for_evidence(page, "NoCard")


@pytest.mark.every_version
def test_without_a_script_each_error_is_a_link_and_each_key_a_button(
    browser: Any, address: str, visitor: Visitor, errors: None
) -> None:
    context = browser.new_context(java_script_enabled=False, locale="de", viewport=WIDE)
    try:
        plain = Visitor(context.new_page(), address, visitor._screenshots)
        plain.log_in("ada")
        plain.go("django_jobs_deadlettergroups")
        plain.page.click("#triage-list >> text=NoCard")
        assert plain.page.url.endswith(f"/groups/{B}/")
        assert "Traceback of NoCard" in plain.text()
        assert not plain.page.is_visible("#triage-show-keys")
        plain.picture("triage-german-1440")
        plain.page.click('[data-key="e"]')
        wait_until(lambda: _status_of(B) == {"resolved"})
        plain.page.click('[data-key="u"]')
        wait_until(lambda: _status_of(B) == {"open"})
        assert plain.said == []
    finally:
        context.close()
