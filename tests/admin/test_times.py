"""One way to write an instant, on every page of the admin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils.timezone import override as override_zone
from django.utils.translation import override as override_language

from django_jobs.admin.site.times import format_timestamp, relative_text, time_text, zone_text

from .every_page import make_rows, page_addresses
from .staff import INDEX

NOW = datetime(2026, 11, 30, 18, 22, 40, 123456, tzinfo=UTC)
TIME_TEXT = re.compile(r"(\d\d? [A-Z][a-z]{2} (\d{4} )?)?\d\d:\d\d(:\d\d(\.\d{3})?)?")
OTHER_WAY = re.compile(
    r"\d{1,2}:\d\d|\d{4}-\d\d-\d\d|\b[ap]\.m\.|\b\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    r"|\b(Jan|Feb|March|April|May|June|July|Aug|Sept|Oct|Nov|Dec)\.? \d"
)
QUIET = {"script", "style", "textarea", "option", "pre"}


class PageText(HTMLParser):
    """Collects a page's text, and apart from it the texts and attributes of its ``<time>`` elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.times: list[tuple[str, dict[str, Any]]] = []
        self._inside: list[tuple[str, dict[str, Any]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "time" or tag in QUIET:
            self._inside.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1][0] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.text.append(data)
        elif self._inside[-1][0] == "time":
            self.times.append((data, self._inside[-1][1]))


@pytest.mark.django_db(transaction=True)
def test_no_page_writes_an_instant_another_way(admin_client: Client) -> None:
    seen = 0
    for address in page_addresses(make_rows()):
        response = admin_client.get(address)
        assert response.status_code == 200, address
        page = PageText(response.content.decode())
        assert not [text.strip() for text in page.text if OTHER_WAY.search(text)], address
        for text, attributes in page.times:
            assert TIME_TEXT.fullmatch(text), (address, text)
            assert datetime.fromisoformat(attributes["datetime"]).tzinfo is not None
            assert attributes["title"].startswith(attributes["datetime"][:10])
        seen += len(page.times)
    assert seen > 50


@pytest.mark.django_db(transaction=True)
def test_the_dashboard_names_its_zone(admin_client: Client, settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    page = admin_client.get(INDEX).content.decode()
    assert re.search(r"Times in Europe/Berlin \(CES?T\)", page)


@pytest.fixture
def _utc() -> Iterator[None]:
    with override_zone(UTC):
        yield


@pytest.mark.usefixtures("_utc")
@pytest.mark.parametrize(
    ("before", "text"),
    [
        (timedelta(0), "18:22:40"),
        (timedelta(days=2), "28 Nov 18:22"),
        (timedelta(days=400), "26 Oct 2025 18:22"),
        (timedelta(days=-1), "1 Dec 18:22"),
    ],
)
def test_the_date_is_left_out_today_and_the_year_this_year(before: timedelta, text: str) -> None:
    assert time_text(NOW - before, now=NOW) == text


def test_an_element_has_the_exact_instant_with_its_zone() -> None:
    with override_zone("Europe/Berlin"):
        assert format_timestamp(NOW - timedelta(seconds=75), now=NOW) == (
            '<time datetime="2026-11-30T19:21:25.123+01:00" title="2026-11-30 19:21:25.123 CET">19:21:25</time>'
            ' <span class="jobs-ago">(1 min ago)</span>'
        )
    tokyo = format_timestamp(NOW, now=NOW, zone=ZoneInfo("Asia/Tokyo"), is_precise=True, is_relative=False)
    assert "2026-12-01 03:22:40.123 JST" in tokyo
    assert ">03:22:40.123<" in tokyo


def test_today_is_that_of_the_zone() -> None:
    midnight = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    with override_zone("UTC"):
        assert time_text(midnight, now=midnight - timedelta(hours=1)) == "23:30:00"
        assert zone_text(midnight) == "UTC"
    with override_zone("Europe/Berlin"):
        assert time_text(midnight, now=midnight - timedelta(hours=1)) == "1 Dec 00:30"
        assert zone_text(midnight) == "Europe/Berlin (CET)"


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (timedelta(seconds=-0.9), "now"),
        (timedelta(seconds=59.9), "59 s ago"),
        (timedelta(seconds=-61), "in 1 min"),
        (timedelta(hours=2, minutes=5, seconds=59), "2 h 5 min ago"),
        (timedelta(days=3, hours=23), "3 d ago"),
    ],
)
def test_how_far_away_an_instant_is(distance: timedelta, text: str) -> None:
    assert relative_text(NOW, now=NOW + distance) == text


def test_dates_are_those_of_the_language() -> None:
    with override_language("de"), override_zone("UTC"):
        assert time_text(NOW - timedelta(days=2), now=NOW) == "28. Nov 18:22"
        assert relative_text(NOW, now=NOW + timedelta(minutes=3)) == "vor 3 min"
