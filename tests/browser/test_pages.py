"""Every page of the admin in a real browser: nothing inline, nothing in the console, usable by everybody."""

from __future__ import annotations

from typing import Any

import pytest

from django_jobs import Batch, chain, group, once
from django_jobs.limits import CircuitBreaker
from django_jobs.models import EnqueueKey, Job, OnceRecord
from django_jobs.policy.limits import PermitPhase
from django_jobs.policy.states import State
from django_jobs.web.tokens import create_token
from tests import factories
from tests.sampleapp.jobs import echo, sync

from .visitor import Visitor

HOSTILE = "<script>alert(1)</script> \u202eright to left \U0001f4a5"


@pytest.fixture
def rows() -> dict[str, Any]:
    """One row of each kind, with text that somebody might have meant badly."""
    letter = factories.make_letter(error_message=HOSTILE, traceback="Traceback\n" + "x" * 200_000)
    assert letter.job is not None
    attempt = factories.make_attempt(letter.job, error_class="ValueError", error_message=HOSTILE)
    running = factories.make_job(State.RUNNING, arguments={"name": HOSTILE}, progress_done=3, progress_total=9)
    factories.make_jobs(3, State.SUCCEEDED)
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


def _visit_all(visitor: Visitor, rows: dict[str, Any]) -> None:
    direction = "-rtl" if visitor.page.get_attribute("html", "dir") == "rtl" else ""
    for model, pk in rows.items():
        for page, args in ((f"django_jobs_{model}_changelist", ()), (f"django_jobs_{model}_change", (pk,))):
            visitor.go(page, *args)
            assert visitor.page.query_selector("#content"), page
            visitor.picture(f"{page}-{visitor.page.viewport_size['width']}{direction}")
            violations = visitor.grave_violations()
            assert violations == [], "\n".join([page, *violations])
            assert not visitor.scrolls_sideways(), page
            assert visitor.mislaid() == [], page
    visitor.go("django_jobs_limit_reopen", rows["limit"])
    assert visitor.grave_violations() == []
    visitor.go("django_jobs_job_change", Job.objects.latest("pk").pk)
    assert visitor.page.query_selector("svg"), "the graph is drawn"
    assert visitor.grave_violations() == []
    assert not visitor.scrolls_sideways()


def test_every_page_is_fit_for_everybody(visitor: Visitor, rows: dict[str, Any]) -> None:
    _visit_all(visitor, rows)


@pytest.mark.dark
def test_every_page_is_readable_in_the_dark(visitor: Visitor, rows: dict[str, Any]) -> None:
    _visit_all(visitor, rows)


@pytest.mark.rtl
def test_every_page_turns_round_for_those_who_read_from_right_to_left(visitor: Visitor, rows: dict[str, Any]) -> None:
    visitor.go("index")
    assert visitor.page.get_attribute("html", "dir") == "rtl"
    _visit_all(visitor, rows)
    visitor.go("django_jobs_dashboard")
    assert not visitor.scrolls_sideways()
    visitor.picture("dashboard-rtl")
    visitor.go("django_jobs_job_change", rows["job"])
    first, second = (visitor.page.locator(".job-details > div").nth(at).bounding_box() for at in (0, 1))
    assert first["x"] > second["x"]


@pytest.mark.phone
def test_every_page_fits_on_a_phone(visitor: Visitor, rows: dict[str, Any]) -> None:
    _visit_all(visitor, rows)
