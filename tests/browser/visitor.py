"""Somebody in front of the browser: goes to pages, presses, reads, takes pictures, checks accessibility."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

SCREEN = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
GRAVE = {"serious", "critical"}
COLOURS = ("color-contrast", "link-in-text-block")
"""Those rules of axe-core that a theme has a say in."""
MISLAID = """() => {
    const title = document.createRange();
    title.selectNodeContents(document.querySelector("#content h1"));
    const at = title.getBoundingClientRect();
    const lies = one => one.left < at.right && one.right > at.left && one.top < at.bottom && one.bottom > at.top;
    const over = [...document.querySelectorAll("#content a:not(.jobs-skip), #content button")]
        .filter(one => lies(one.getBoundingClientRect()))
        .map(one => "on the title: " + one.innerText);
    const cut = [...document.querySelectorAll("#content *:not(.visually-hidden, .jobs-skip)")]
        .filter(one => getComputedStyle(one).overflowX === "hidden" && one.scrollWidth > one.clientWidth + 1)
        .map(one => "cut off: " + one.outerHTML.slice(0, 200));
    const underlined = [...document.querySelectorAll("#content a.button, #content .jobs-tabs a")]
        .filter(one => getComputedStyle(one).textDecorationLine !== "none")
        .map(one => "a button is underlined: " + one.innerText);
    const bar = document.querySelector(".breadcrumbs");
    const isBar = bar === null || getComputedStyle(bar).backgroundColor !== "rgba(0, 0, 0, 0)";
    return [...over, ...cut, ...underlined, ...(isBar ? [] : ["the breadcrumbs are no bar"])];
}"""
DJANGOS = ["#header", ".breadcrumbs", "#nav-sidebar", "#changelist-search"]


class Visitor:
    """Wraps a page of Playwright. ``said`` is what the browser's console said, and errors of scripts."""

    def __init__(self, page: Any, address: str, screenshots: Path | None) -> None:
        self.page = page
        self.said: list[str] = []
        self.address = address
        self._screenshots = screenshots
        self._listens = True
        page.on("console", lambda message: self._hear(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self._hear(str(error)))

    def log_in(self, name: str) -> None:
        """Have the browser send the cookie that the login would have given: the form is Django's own."""
        client = Client()
        client.force_login(User.objects.get(username=name))
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        self.page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": self.address}])

    def go(self, name: str, *args: Any, query: str = "") -> None:
        """Open a page of the admin by the name of its URL."""
        self.go_to(reverse(f"admin:{name}", args=args) + query)

    def go_to(self, path: str) -> None:
        """Open a page by its path."""
        self.page.goto(self.address + path)

    def picture(self, name: str) -> None:
        """Keep a picture of the whole page, if the option ``--pictures`` asks for them: they take seconds to encode."""
        if self._screenshots is None:
            return
        self._screenshots.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self._screenshots / f"{name}.png", full_page=True)

    def text(self) -> str:
        return str(self.page.inner_text("body"))

    def wait_for_text(self, text: str, *, seconds: float = 60) -> None:
        """Wait until the page shows ``text``."""
        self.page.get_by_text(text).first.wait_for(timeout=seconds * 1000)

    def prefer(self, theme: str) -> None:
        """Have the browser ask for a theme; colours that fade into it are there at once."""
        self.page.emulate_media(color_scheme=theme)
        self.page.evaluate(
            "() => document.getAnimations().filter(one => one instanceof CSSTransition).forEach(one => one.finish())"
        )

    def grave_violations(self, *, rules: Sequence[str] = ()) -> list[str]:
        """Return what axe-core finds that keeps people out, one line each; parts that are Django's own are left out.

        By all of its rules, or by these alone.
        """
        self._listens = False  # to axe, which styles what it measures
        if self.page.evaluate("() => typeof axe === 'undefined'"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules:
            options["runOnly"] = list(rules)
        found = self.page.evaluate("([parts, options]) => axe.run({exclude: parts}, options)", [DJANGOS, options])
        found = found["violations"]
        self._listens = True
        return [
            f"{one['id']} ({one['impact']}): {one['help']}: {node['html'][:200]}"
            for one in found
            if one["impact"] in GRAVE
            for node in one["nodes"]
        ]

    def _hear(self, text: str) -> None:
        if self._listens:
            self.said.append(f"{self.page.url}: {text}")

    def mislaid(self) -> list[str]:
        """Return what is out of place or cut off, and what this version of Django styles in another way."""
        return list(self.page.evaluate(MISLAID))

    def scrolls_sideways(self) -> bool:
        """Tell whether the page is wider than the window."""
        return bool(self.page.evaluate("() => document.documentElement.scrollWidth > window.innerWidth"))
