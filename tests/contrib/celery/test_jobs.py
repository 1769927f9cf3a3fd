"""Tasks as jobs of the engine: enqueue, transactions, attempts, dead letters, limits of handlers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction

from django_jobs import Batch, job
from django_jobs.contrib.celery import Celery, Task
from django_jobs.contrib.celery.exceptions import Reject
from django_jobs.exceptions import Retry as RetryRequest
from django_jobs.models import DeadLetter, Job
from django_jobs.schedules import schedule
from django_jobs.testing import drain, run_job
from tests.more_databases import known

pytestmark = pytest.mark.django_db


@pytest.fixture
def add(app: Celery) -> Any:
    @app.task(name="jobs.add")
    def add(x: int, y: int = 1, *more: int, z: int = 0) -> int:
        return x + y + sum(more) + z

    return add


def test_a_task_may_have_a_parameter_called_context(app: Celery) -> None:
    @app.task(name="jobs.render")
    def render(template: str, context: dict[str, Any]) -> str:
        return template.format(**context)

    first = render.delay("Hello {name}", {"name": "Ada"})
    second = render.delay("Hello {name}", context={"name": "Bob"})
    drain()
    assert (first.get(), second.get()) == ("Hello Ada", "Hello Bob")


def test_a_job_is_part_of_the_transaction(add: Any) -> None:
    with transaction.atomic():
        add.delay(1)
        add.delay_on_commit(2)
        transaction.set_rollback(True)
    assert not Job.objects.exists()
    assert add.delay_on_commit(2) is None
    assert add.apply_async_on_commit((3,), queue="q") is None
    assert list(Job.objects.order_by("pk").values_list("queue_name", flat=True)) == ["default", "q"]


def test_arguments_are_checked_and_kept_as_they_were_given(app: Celery) -> None:
    seen = []

    @app.task(bind=True, name="jobs.given")
    def given(self: Any, a: int, b: int = 2, *rest: int, c: int = 3, **others: Any) -> None:
        seen.append((self.request.args, self.request.kwargs))

    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((1,), {}),
        ((1,), {"b": 5}),
        ((), {"a": 1, "c": 2}),
        ((1, 2, 3, 4), {"c": 5, "d": 6}),
    ]
    for args, kwargs in calls:
        given.delay(*args, **kwargs)
    drain()
    assert sorted(seen, key=repr) == sorted([(list(args), kwargs) for args, kwargs in calls], key=repr)
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        given.delay()


def test_headers_are_metadata(app: Celery) -> None:
    seen = []

    @app.task(bind=True, name="jobs.headers")
    def headers(self: Any) -> None:
        seen.append((self.request.headers, self.request.tenant, self.request.delivery_info, self.request.retries))

    result = headers.apply_async(headers={"tenant": 7}, queue="q", priority=5)
    assert result.job.metadata == {"tenant": 7}
    drain()
    assert seen == [({"tenant": 7}, 7, {"routing_key": "q", "priority": 5}, 0)]


def test_a_failed_task_is_a_dead_letter_at_once(app: Celery) -> None:
    @app.task(name="jobs.fails")
    def fails() -> None:
        raise LookupError("no")

    fails.delay()
    drain()
    letter = DeadLetter.objects.get()
    assert (letter.job_name, letter.job.attempt, letter.job.max_attempts) == ("jobs.fails", 1, 4)


def test_a_retry_beyond_the_maximum_of_the_row_raises_it(app: Celery) -> None:
    @app.task(bind=True, name="jobs.more", max_retries=0)
    def more(self: Any) -> int:
        if self.request.retries < 2:
            self.retry(countdown=0, max_retries=2)
        return self.request.retries

    result = more.delay()
    assert result.job.max_attempts == 1
    drain(run_scheduled=True)
    row = Job.objects.get()
    assert (row.state, row.result, row.attempt, row.max_attempts) == ("succeeded", 2, 3, 3)
    assert list(row.attempts.values_list("outcome", flat=True)) == ["retried", "retried", "succeeded"]


def test_a_handler_that_raises_changes_nothing(app: Celery, caplog: pytest.LogCaptureFixture) -> None:
    class Bad(Task):
        def on_success(self, *args: Any) -> None:
            raise RuntimeError("handler")

        on_failure = on_success

    @app.task(base=Bad, name="jobs.good")
    def good() -> int:
        return 1

    @app.task(base=Bad, name="jobs.bad")
    def bad() -> None:
        raise LookupError("the task")

    with caplog.at_level(logging.ERROR, logger="django_jobs.celery"):
        first, second = good.delay(), bad.delay()
        drain()
    assert (first.get(), repr(second.result)) == (1, "LookupError('the task')")
    assert {record.getMessage().partition("]: ")[2] for record in caplog.records if record.name.endswith("celery")} == {
        "on_success raised <class 'RuntimeError'>",
        "on_failure raised <class 'RuntimeError'>",
    }


def test_requests_of_the_engine_steer_a_task_too(app: Celery) -> None:
    seen = []

    class Base(Task):
        def on_retry(self, exc: Any, *args: Any) -> None:
            seen.append("retry")

        def on_failure(self, exc: Any, *args: Any) -> None:
            seen.append("failure")

    @app.task(base=Base, name="jobs.steers", max_retries=1)
    def steers() -> None:
        raise RetryRequest(0)

    result = steers.delay()
    drain(run_scheduled=True)
    assert (result.state, seen) == ("FAILURE", ["retry", "failure"])


def test_reject_with_requeue_runs_again(app: Celery) -> None:
    runs = []

    @app.task(bind=True, name="jobs.requeues")
    def requeues(self: Any) -> str:
        runs.append(self.request.retries)
        if len(runs) < 3:
            raise Reject("busy", requeue=True)
        return "done"

    result = requeues.delay()
    drain(run_scheduled=True)
    assert (result.get(), runs) == ("done", [0, 0, 0])


def test_a_task_stands_where_a_job_does(app: Celery, add: Any) -> None:
    @job
    def first() -> int:
        return 4

    with Batch(on_success=add.job.s(1)) as batch:
        first.enqueue()
    drain()
    batch.wait(5)
    assert Job.objects.get(name="jobs.add").result == 2
    assert schedule("jobs.add hourly", add, every=3600, args={"x": 1}).job is add.job
    assert run_job(add.job.s(1, y=5)) == 6


def test_send_task_enqueues_known_and_unknown_names(app: Celery, add: Any) -> None:
    known = app.send_task("jobs.add", (1,), {"z": 5}, queue="q", countdown=60)
    unknown = app.send_task("of.another.project", (1, 2), {"a": 3}, priority=4)
    assert (known.job.state, known.job.queue_name, known.job.arguments) == ("scheduled", "q", {"x": 1, "z": 5})
    assert (unknown.job.name, unknown.job.priority) == ("of.another.project", 4)
    with pytest.raises(TypeError):
        app.send_task("jobs.add")


def test_redact_hides_arguments_and_request(app: Celery) -> None:
    @app.task(bind=True, name="jobs.secret", job_options={"redact": ("password",)})
    def secret(self: Any, password: str) -> None:
        raise ObjectDoesNotExist("gone")

    assert "hunter2" not in repr(secret.s("hunter2"))
    secret.delay("hunter2")
    drain()
    attempt = Job.objects.get().last_attempt
    assert attempt is not None
    assert "hunter2" not in attempt.traceback


def test_on_commit_is_after_the_commit_if_jobs_can_be_in_another_database(
    add: Any, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    with known({"eu": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "eu")}}):
        with django_capture_on_commit_callbacks() as callbacks:
            add.delay_on_commit(2)
        assert not Job.objects.exists()
        callbacks[0]()
        assert Job.objects.get().name == "jobs.add"
