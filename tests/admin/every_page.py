"""Every page of the admin that shows rows, with one row or more of each model."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.contrib import admin
from django.db.models import Model
from django.urls import reverse

from django_jobs.brokers.replay_jobs import COUNT_MESSAGES
from django_jobs.models import EnqueueKey, Job, JobLog, MessageSource, OnceRecord
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.limits import RateLimit
from django_jobs.policy.states import State
from django_jobs.web.models import Token
from tests import factories

from .staff import url

APPS = ("django_jobs", "django_jobs_web")
LONG_AGO = {"days": 40, "hours": 3}


def make_rows() -> list[Model]:
    """Insert rows with every kind of instant, of today and of long ago, and return those whose pages are read."""
    old = factories.ago(**LONG_AGO)
    now = factories.ago(seconds=5)
    worker = factories.make_worker(started_at=old, stop_requested_at=now, stop_requested_by="bo")
    running = factories.make_job(State.RUNNING, worker=worker, enqueued_at=old)
    JobLog.objects.create(job=running, claim_number=1, data=[[old.timestamp(), "INFO", "", "once"]], head=1, total=1)
    waiting = factories.make_job(State.SCHEDULED, enqueued_at=old, flags=JobFlag.EXPIRES)
    factories.make_expiry(waiting)
    dead_letter = factories.make_letter(died_at=old, resolved_at=now, resolved_by="bo", status="resolved")
    open_letter = factories.make_letter(died_at=old)
    assert open_letter.job is not None
    attempt = factories.make_attempt(open_letter.job, ready_at=old, started_at=old)
    schedule = factories.make_schedule("nightly", every=timedelta(hours=1), timezone="Asia/Tokyo", paused_at=old)
    limit = factories.make_limit(
        RateLimit(1, per=timedelta(days=1)), check_at=now, closed_until=now + timedelta(hours=1)
    )
    factories.make_permit(limit)
    _make_count()
    factories.make_deploy("v1", first_seen_at=old)
    factories.make_deploy("v2", first_seen_at=factories.ago(minutes=30))
    return [
        running, waiting, open_letter.job, dead_letter, open_letter, attempt, worker, schedule, limit,
        factories.make_queue("default", paused_at=old, paused_by="bo"),
        factories.make_batch(created_at=old, cancelled_at=now, completed_at=now, state="cancelled"),
        factories.make_tick(schedule, due_at=old, job=running),
        EnqueueKey.objects.create(
            digest=uuid4(), kind="idempotency", key="k", job_name="sample", job=running, acquired_at=old,
            expires_at=now + timedelta(days=1),
        ),
        MessageSource.objects.create(broker="events", name="orders", group="", created_at=old, paused_at=now),
        OnceRecord.objects.create(digest=uuid4(), key="k", job_id=running.pk, recorded_at=old, stored=1),
        Token.objects.create(
            name="billing", key="k", secret_hash="h", job_names=["sample"], created_at=old, last_used_at=now
        ),
    ]  # fmt: skip


def page_addresses(rows: list[Model]) -> list[str]:
    """Return the address of each list, of each row's page, and of the pages beside them."""
    registered = {model for model in admin.site._registry if model._meta.app_label in APPS}
    assert registered == {type(row) for row in rows}, "make_rows() has no row of a model that is registered"
    count = Job.objects.get(name=COUNT_MESSAGES)
    return [
        *(_address(model, "changelist") for model in sorted(registered, key=str)),
        *(_address(type(row), "change", row.pk) for row in rows),
        reverse("admin:app_list", args=["django_jobs"]),
        *(url("messagesource_replay", row.pk) for row in rows if isinstance(row, MessageSource)),
        *(url(f"messagesource_replay_{page}", count.pk) for page in ("job", "confirm")),
        url("deadlettergroups"),
        url("deadlettergroup", "f" * 32),
    ]


def _make_count() -> None:
    """Insert the job that has counted the messages of a replay."""
    source = {"broker": "events", "name": "orders", "group": ""}
    factories.make_job(
        State.SUCCEEDED,
        name=COUNT_MESSAGES,
        arguments={"source": source, "wanted": {"since": "2026-11-01T08:00:00+00:00", "partition": "0"}},
        result_data={"jobs": 7, "poison": 1, "ranges": {"0": ["4", "12"]}},
    )


def _address(model: type[Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)
