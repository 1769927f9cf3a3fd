"""The pictures of the docs' guided tour: an hour in a shop, with a bank that was away for ten minutes."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.store.stats.rollup import roll_up
from tests import factories

from .visitor import Visitor

SHOP = "shop.jobs."
KINDS = (
    ("send_receipt", "emails", 0.12),
    ("render_invoice", "documents", 1.4),
    ("charge_card", "payments", 0.6),
    ("resize_picture", "pictures", 2.5),
)
BANK_AWAY = range(24, 34)
"""Minutes ago."""
TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/payments/jobs.py", line 31, in charge_card
    receipt = bank.charge(order.total, card=order.card)
  File "/srv/shop/payments/bank.py", line 12, in charge
    raise BankUnavailable(f"/charges answered {answer.status}: {answer.text}")
shop.payments.bank.BankUnavailable: /charges answered 503: no line to the issuer
"""
ERRORS = (
    ("shop.payments.bank.BankUnavailable", "/charges answered 503: no line to the issuer", "charge_card"),
    ("smtplib.SMTPRecipientsRefused", "550 no such user here", "send_receipt"),
    ("PIL.UnidentifiedImageError", "cannot identify image file 'teapot.jpg'", "resize_picture"),
)


def _tried(rng: random.Random, minute: int) -> None:
    """Make what ended in one minute."""
    for name, queue_name, seconds in KINDS:
        for _ in range(rng.randint(2, 6) if queue_name != "pictures" else rng.randint(0, 2)):
            ended_at = factories.ago(minutes=minute, seconds=rng.uniform(0, 50))
            started_at = ended_at - timedelta(seconds=rng.lognormvariate(0, 0.5) * seconds)
            fails = queue_name == "payments" and minute in BANK_AWAY and rng.random() < 0.7
            waited = rng.lognormvariate(-4, 1) * (40 if minute in BANK_AWAY else 1)
            job = factories.make_job(State.SUCCEEDED, name=SHOP + name, queue_name=queue_name)
            factories.make_attempt(
                job,
                outcome="failed" if fails else "succeeded",
                ready_at=started_at - timedelta(seconds=waited),
                started_at=started_at,
                finished_at=ended_at,
            )


def _died(error_class: str, message: str, name: str, *, minute: int, number: int) -> Job:
    queue_name = next(queue for kind, queue, _ in KINDS if kind == name)
    died_at = factories.ago(minutes=minute)
    job = factories.make_job(
        State.DEAD,
        name=SHOP + name,
        queue_name=queue_name,
        arguments={"order_id": 4700 + number},
        enqueued_at=died_at - timedelta(seconds=41),
        ready_at=died_at - timedelta(seconds=1),
        started_at=died_at - timedelta(seconds=0.98),
        finished_at=died_at - timedelta(seconds=0.4),
        attempt=3,
        claim_number=3,
        max_attempts=3,
    )
    for attempt, seconds in enumerate((41, 35, 1), start=1):
        factories.make_attempt(
            job,
            number=attempt,
            claim_number=attempt,
            outcome="failed",
            ready_at=died_at - timedelta(seconds=seconds),
            started_at=died_at - timedelta(seconds=seconds - 0.02),
            finished_at=died_at - timedelta(seconds=seconds - 0.6),
            error_class=error_class,
            error_message=message,
            traceback=TRACEBACK,
        )
    factories.make_letter(
        job,
        attempt=3,
        error_class=error_class,
        error_message=message,
        traceback=TRACEBACK,
        fingerprint=f"{ERRORS.index((error_class, message, name))}" * 32,
        died_at=died_at,
    )
    return job


@pytest.fixture
def dead() -> Job:
    """Fill the hour, and return a job that died of the bank."""
    rng = random.Random(7)
    for minute in range(1, 60):
        _tried(rng, minute)
    for number in range(17):
        job = _died(*ERRORS[0], minute=rng.choice(BANK_AWAY), number=number)
    for number in range(4):
        _died(*ERRORS[1], minute=rng.randint(2, 58), number=number)
    _died(*ERRORS[2], minute=12, number=1)
    for _, queue_name, _ in KINDS:
        factories.make_queue(queue_name)
    for pid, (running, queue_name, done) in enumerate(
        (("resize_picture", "pictures", 14), ("render_invoice", "documents", None)), start=4301
    ):
        worker = factories.make_worker(
            hostname="web-1", pid=pid, concurrency=4, memory_bytes=68 << 20, version="7c1e4d2"
        )
        factories.make_job(
            State.RUNNING,
            name=SHOP + running,
            queue_name=queue_name,
            worker=worker,
            progress_done=done,
            progress_total=done and 20,
        )
    factories.make_jobs(7, name=SHOP + "send_receipt", queue_name="emails")
    for name, minutes in (("warm bestsellers", 4), ("send digests", 190), ("clean up", 540)):
        factories.make_schedule(name, next_due_at=factories.ago(minutes=-minutes))
    roll_up(min_age=timedelta(0))
    return job


def test_the_tour_goes_from_the_dashboard_to_a_job(visitor: Visitor, dead: Job) -> None:
    visitor.go("django_jobs_dashboard")
    visitor.page.wait_for_selector("#jobs-times canvas")
    visitor.picture("tour-dashboard")
    assert visitor.mislaid() == []
    visitor.go("django_jobs_deadlettergroups")
    row = visitor.page.inner_text(".triage-row:has-text('BankUnavailable')")
    assert "17 open" in row
    visitor.page.click(".triage-row:has-text('BankUnavailable')")
    visitor.page.wait_for_selector("#triage-evidence:not([aria-busy]) .triage-title:has-text('BankUnavailable')")
    visitor.picture("tour-groups")
    visitor.go("django_jobs_job_change", dead.pk)
    visitor.wait_for_text("no line to the issuer")
    visitor.picture("tour-job")
    assert visitor.mislaid() == []
