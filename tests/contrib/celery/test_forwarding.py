"""Messages of a real Celery become jobs, with the options of the calls that sent them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from django_jobs.contrib.celery import Celery, forward_messages
from django_jobs.contrib.celery.forwarding import call_options
from django_jobs.models import Job
from django_jobs.testing import drain

pytestmark = pytest.mark.django_db


@pytest.fixture
def steer(app: Celery) -> Any:
    """A task."""

    @app.task(name="result.steer", max_retries=1, priority=5)
    def steer(what: str) -> str:
        return what

    return steer


def test_messages_of_a_real_celery_become_jobs_once(app: Celery, steer: Any) -> None:
    celery = pytest.importorskip("celery")
    real = celery.Celery("old", broker="memory://", set_as_current=False)
    assert forward_messages(real, steer) == ["result.steer"]
    for _ in range(2):  # delivered twice
        real.tasks["result.steer"].apply(("value",), task_id="one message", throw=True)
    real.tasks["result.steer"].apply((), {"what": "by keyword"}, task_id="another", throw=True)
    assert sorted(job.arguments["what"] for job in Job.objects.all()) == ["by keyword", "value"]
    drain()
    assert {job.state for job in Job.objects.all()} == {"succeeded"}


def _receive(real: Any, task: Any, **options: Any) -> Job | None:
    """Send a message of Celery and have it run as a worker does that takes it from the broker; return its job."""
    request = pytest.importorskip("celery.worker.request")
    real.tasks[task.name].apply_async(("value",), **options)
    with real.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
        message = queue.get(timeout=5)
        request.Request(message, app=real, task=real.tasks[task.name]).execute()
        message.ack()
    return Job.objects.order_by("pk").last()


@pytest.fixture
def real(steer: Any) -> Any:
    """A real Celery app whose broker is the memory of this process, and which forwards a task."""
    celery = pytest.importorskip("celery")
    app = celery.Celery("old", broker="memory://", set_as_current=False)
    forward_messages(app, steer)
    return app


@pytest.mark.parametrize("offset", [UTC, timezone(timedelta(hours=2))])
def test_the_job_of_a_message_has_the_options_of_its_call(real: Any, steer: Any, offset: timezone) -> None:
    expires, eta = datetime(2100, 1, 2, 3, tzinfo=offset), datetime(2100, 1, 1, tzinfo=offset)
    job = _receive(real, steer, expires=expires, eta=eta, priority=7)
    assert job is not None
    assert (job.expires_at, job.run_after, job.priority) == (expires, eta, 7)


def test_the_job_of_a_message_without_options_has_those_of_its_task(real: Any, steer: Any) -> None:
    job = _receive(real, steer, eta=datetime(2020, 1, 1, tzinfo=UTC))
    assert job is not None
    assert (job.state, job.priority, hasattr(job, "expiry")) == ("ready", 5, False)


@pytest.mark.parametrize(("given", "priority"), [(3, -3), (0, 0)])
def test_a_priority_of_redis_is_negated(real: Any, steer: Any, given: int, priority: int) -> None:
    request = SimpleNamespace(eta=None, expires=None, delivery_info={"priority": given})
    options = call_options(steer, request, negate_priority=True)
    assert options is not None
    assert (options["priority"] or 0) == priority


def test_a_message_that_has_expired_or_would_before_its_eta_makes_no_job(real: Any, steer: Any) -> None:
    late = datetime(2100, 1, 1, tzinfo=UTC)
    assert _receive(real, steer, expires=late - timedelta(days=1), eta=late) is None
    assert _receive(real, steer, expires=datetime(2020, 1, 1, tzinfo=UTC)) is None
    assert not Job.objects.exists()
