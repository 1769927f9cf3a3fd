"""Every page of the admin in a real browser: nothing inline, nothing in the console, usable by everybody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from django_jobs import Batch, chain, group, once
from django_jobs.limits import CircuitBreaker
from django_jobs.models import EnqueueKey, Job, MessageSource, OnceRecord, SourcePartition, TypeRollup
from django_jobs.policy.histogram import bucket_of
from django_jobs.policy.limits import PermitPhase
from django_jobs.policy.rollup import span_start
from django_jobs.policy.states import State
from django_jobs.store.stats.rollup import roll_up
from django_jobs.web.tokens import create_token
from tests import factories
from tests.sampleapp.jobs import echo, sync
from tests.sampleapp.models import Customer

from .visitor import COLOURS, PHONE, SCREEN, Visitor

HOSTILE = "<script>alert(1)</script> \u202eright to left \U0001f4a5"


TYPE = "tests.sampleapp.jobs.typed"


def add_types() -> None:
    """Store what the types of a day and of the day before have in the roll-ups: some got worse."""
    now = factories.ago()
    for hours in range(48):
        share = 0.05 if hours < 24 else 0.001
        seconds = 2.0 if hours < 24 else 0.3
        types = {
            TYPE: [90 + hours, int(100 * share), 0, 100 * seconds, [20, 70, 40, 20], [bucket_of(seconds), 80, 48, 15]],
            f"shop.{'long_' * 10}name": [40, 0, 0, 4000.0, [1, 40], [bucket_of(100), 40]],
            "shop.quick": [4_000, 2, 0, 9.0, [1, 4_000], [5, 4_000]],
        }
        starts_at = span_start((now - timedelta(hours=hours)).timestamp(), 3600)
        TypeRollup.objects.create(span_seconds=3600, starts_at=starts_at, types=types)


@pytest.fixture
def rows() -> dict[str, Any]:
    """One row of each kind, with text that somebody might have meant badly."""
    letter = factories.make_letter(error_message=HOSTILE, traceback="Traceback\n" + "x" * 200_000)
    assert letter.job is not None
    attempt = factories.make_attempt(letter.job, error_class="builtins.ValueError", error_message=HOSTILE)
    running = factories.make_job(State.RUNNING, arguments={"name": HOSTILE}, progress_done=3, progress_total=9)
    factories.make_jobs(3, State.SUCCEEDED)
    factories.make_letter(factories.make_job(State.DEAD, name=TYPE), job_name=TYPE)
    add_types()
    schedule = factories.make_schedule("nightly")
    sync.enqueue(7)
    with once("charge", HOSTILE) as first:
        first.store({"text": HOSTILE})
    closed_until = factories.ago(minutes=-5)
    limit = factories.make_limit(CircuitBreaker(failures=5), key=HOSTILE, closed_until=closed_until, is_tripped=True)
    factories.make_permit(limit, running, phase=PermitPhase.HELD)
    factories.make_permit(limit)
    with Batch(description=HOSTILE) as batch:
        chain(echo.s(HOSTILE), group(echo.s() for _ in range(3)), echo.s()).enqueue()
    echo.enqueue(Customer.objects.create(name=HOSTILE))
    return {
        "job": running.pk,
        "attempt": attempt.pk,
        "deadletter": letter.pk,
        "queue": factories.make_queue("mail").pk,
        "worker": running.worker_id,
        "cronschedule": schedule.pk,
        "limit": limit.pk,
        "tick": factories.make_tick(schedule).pk,
        "enqueuekey": EnqueueKey.objects.get().pk,
        "oncerecord": OnceRecord.objects.get().pk,
        "batch": batch.row.pk,
        "web_token": create_token("billing", job_names=["shop.render_invoice"])[0].pk,
    }


def _fits(visitor: Visitor, name: str) -> None:
    visitor.picture(f"{name}-{visitor.page.viewport_size['width']}")
    assert not visitor.scrolls_sideways(), name
    assert visitor.mislaid() == [], name


def _look(visitor: Visitor, name: str) -> None:
    _fits(visitor, name)
    violations = visitor.grave_violations()
    assert violations == [], "\n".join([name, *violations])


def _pages(visitor: Visitor, rows: dict[str, Any]) -> Iterator[str]:
    """Open each page and yield its name."""
    for model, pk in rows.items():
        for page, args in ((f"django_jobs_{model}_changelist", ()), (f"django_jobs_{model}_change", (pk,))):
            visitor.go(page, *args)
            assert visitor.page.query_selector("#content"), page
            yield page
    visitor.go_to(f"/admin/sampleapp/customer/{Customer.objects.get().pk}/jobs/")
    assert "echo" in visitor.text()
    yield "customer-jobs"
    for page in ("job_types", "job_type", "job_type_enqueue"):
        visitor.go(f"django_jobs_{page}", query=f"?name={TYPE}")
        assert visitor.page.query_selector("#content-main"), page
        yield page
    visitor.go("django_jobs_limit_reopen", rows["limit"])
    yield "limit-reopen"
    visitor.go("django_jobs_job_change", Job.objects.filter(batch_job__isnull=False).latest("pk").pk)
    assert visitor.page.query_selector("svg"), "the graph is drawn"
    yield "job-graph"


@pytest.mark.every_version
@pytest.mark.timeout(600)
def test_every_page_is_fit_for_everybody_in_the_light_in_the_dark_and_on_a_phone(
    visitor: Visitor, rows: dict[str, Any]
) -> None:
    for name in _pages(visitor, rows):
        _look(visitor, name)
        visitor.prefer("dark")
        assert visitor.grave_violations(rules=COLOURS) == [], name
        visitor.page.set_viewport_size(PHONE)
        _look(visitor, f"{name}-dark")
        visitor.page.set_viewport_size(SCREEN)
        visitor.prefer("light")


@pytest.mark.phone
@pytest.mark.rtl
@pytest.mark.timeout(600)
def test_every_page_turns_round_for_those_who_read_from_right_to_left(visitor: Visitor, rows: dict[str, Any]) -> None:
    """Opened on a phone, which is then turned into a screen."""
    visitor.go("index")
    assert visitor.page.get_attribute("html", "dir") == "rtl"
    for name in _pages(visitor, rows):
        _fits(visitor, f"{name}-rtl")
        visitor.page.set_viewport_size(SCREEN)
        _fits(visitor, f"{name}-rtl")
        visitor.page.set_viewport_size(PHONE)
    visitor.page.set_viewport_size(SCREEN)
    visitor.go("django_jobs_dashboard")
    assert not visitor.scrolls_sideways()
    visitor.picture("dashboard-rtl")
    visitor.go("django_jobs_job_change", rows["job"])
    first, second = (visitor.page.locator(".job-details > div").nth(at).bounding_box() for at in (0, 1))
    assert first["x"] > second["x"]


@pytest.mark.phone
def test_long_names_without_a_space_fit_on_a_phone(visitor: Visitor) -> None:
    long_name = "release-" + "of_a_branch_with_a_long_name" * 3
    factories.make_deploy("v1", first_seen_at=factories.ago(days=1))
    factories.make_deploy(long_name[:60], first_seen_at=factories.ago(minutes=5))
    letter = factories.make_letter(error_message=long_name)
    roll_up(min_age=timedelta(0))
    source = MessageSource.objects.create(broker="events", name=long_name, group="", created_at=factories.ago(days=1))
    for page, args, query in (
        ("deadlettergroups", (), ""),
        ("deadlettergroup", (letter.fingerprint,), ""),
        ("messagesource_change", (source.pk,), ""),
        ("find", (), "?q=branch"),
        ("job_type_enqueue", (), f"?name={echo.name}"),
    ):
        visitor.go(f"django_jobs_{page}", *args, query=query)
        assert not visitor.scrolls_sideways(), page
        assert visitor.mislaid() == [], page


@pytest.mark.every_version
def test_the_list_of_jobs_is_cut_at_no_width(visitor: Visitor) -> None:
    long_name = "testproject.shop.jobs.send_the_receipt_of_an_order"
    for state in State:
        job = factories.make_job(
            state, name=long_name, arguments={"order_id": 4711}, ready_at=factories.ago(minutes=71)
        )
    visitor.go("django_jobs_job_changelist")
    always = (".field-id", ".field-state_display", ".field-call", ".field-enqueued .jobs-ago")
    for width, shown in {
        1440: (".field-ran", ".field-enqueued time"),
        1366: (".field-ran",),
        1024: (),
        390: (),
    }.items():
        visitor.page.set_viewport_size({"width": width, "height": 900})
        frame = visitor.page.locator(".results").bounding_box()
        for name in (*always, *shown):
            cell = visitor.page.locator(f"tr:has-text('{job.pk}') {name}").first.bounding_box()
            assert cell, f"{name} at {width}"
            assert cell["x"] + cell["width"] <= frame["x"] + frame["width"] + 1, f"{name} at {width}"
        assert visitor.mislaid() == []
    assert _tabs_to_the_first_row(visitor.page) <= 15


def test_the_list_of_message_sources_is_cut_at_no_width(visitor: Visitor) -> None:
    now = factories.ago()
    names = {
        "broker": "events",
        "name": "orders.placed.in_europe",
        "group": "shipping",
        "job_name": "shop.jobs.ship_it",
    }
    source = MessageSource.objects.create(
        **names, created_at=now, last_received_at=now, paused_at=now, paused_by="ada@example.com", received=1_234_567
    )
    SourcePartition.objects.create(source=source, partition="0", next_position="1233", lag=123_456)
    visitor.go("django_jobs_messagesource_changelist")
    for width, last in {
        1440: ".field-last_received",
        1024: ".field-received_display",
        390: ".field-lag_display",
    }.items():
        visitor.page.set_viewport_size({"width": width, "height": 900})
        frame = visitor.page.locator(".results").bounding_box()
        cell = visitor.page.locator(f"tr:has-text('orders') {last}").first.bounding_box()
        assert cell, width
        assert cell["x"] + cell["width"] <= frame["x"] + frame["width"] + 1, width
        _look(visitor, f"brokers-{width}")
    assert "1 message source" in visitor.text()


def _tabs_to_the_first_row(page: Any) -> int:
    """Return how often Tab is pressed until the first row has the focus, by the links that skip what is before it."""
    page.reload()
    for presses in range(1, 60):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.closest('#result_list tbody') !== null"):
            return presses
        if page.evaluate("() => document.activeElement.matches('.skip-to-content-link, .jobs-skip')"):
            page.keyboard.press("Enter")
    return presses
