"""``AsyncResult``: the job of a task in Celery's words."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from django_jobs.contrib.celery import Celery
from django_jobs.contrib.celery.exceptions import TaskFailedError, TaskRevokedError, TimeoutError
from django_jobs.contrib.celery.result import AsyncResult, GroupResult, allow_join_result
from django_jobs.exceptions import Cancel, Discard, JobTimeoutError, SerializationError, Snooze
from django_jobs.models import Job
from django_jobs.testing import drain

pytestmark = pytest.mark.django_db


class Odd(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first, second)


@pytest.fixture
def steer(app: Celery) -> Any:
    """A task that raises what it is told to."""

    @app.task(bind=True, name="result.steer", max_retries=1)
    def steer(self: Any, what: str) -> Any:
        if what == "retry":
            self.retry(countdown=3600)
        if what == "odd":
            raise Odd("a", "b")
        if what == "object":
            return object()
        if what == "exit":
            raise SystemExit(3)
        if what in {"ValueError", "JobTimeoutError", "Cancel", "Discard", "Snooze"}:
            raise {
                "ValueError": ValueError("wrong"),
                "JobTimeoutError": JobTimeoutError(),
                "Cancel": Cancel("no"),
                "Discard": Discard("no"),
                "Snooze": Snooze(3600),
            }[what]
        return {"what": what}

    return steer


def test_a_result_has_the_states_of_celery(steer: Any) -> None:
    result = steer.delay("value")
    assert (result.state, result.status, result.result, result.ready()) == ("PENDING", "PENDING", None, False)
    assert UUID(result.id)
    assert str(result) == result.task_id == result.id
    drain()
    again = AsyncResult(result.id)
    assert (again.state, again.get(), again.successful(), again.failed()) == ("SUCCESS", {"what": "value"}, True, False)
    assert (again.name, again.queue, again.retries) == ("result.steer", "default", 0)
    assert again.date_done is not None
    assert again == result
    assert len({again, result}) == 1


@pytest.mark.parametrize(
    ("what", "state"),
    [
        ("retry", "RETRY"),
        ("ValueError", "FAILURE"),
        ("Cancel", "REVOKED"),
        ("Discard", "FAILURE"),
        ("Snooze", "PENDING"),
    ],
)
def test_each_end_of_a_run_is_a_state(steer: Any, what: str, state: str) -> None:
    result = steer.delay(what)
    drain()
    assert result.state == state


def test_the_exception_of_a_dead_job_is_raised_again(steer: Any) -> None:
    result = steer.delay("ValueError")
    drain()
    assert repr(result.result) == "ValueError('wrong')"
    assert "ValueError: wrong" in str(result.traceback)
    assert repr(result.get(propagate=False)) == "ValueError('wrong')"
    with pytest.raises(ValueError, match="wrong"):
        result.get()


def test_an_exception_that_wants_other_arguments_is_told_by_name(steer: Any) -> None:
    result = steer.delay("odd")
    drain()
    with pytest.raises(TaskFailedError, match=r"test_results\.Odd: \('a', 'b'\)"):
        result.get()


def test_a_task_that_exits_does_not_end_the_process_that_asks(steer: Any) -> None:
    result = steer.delay("exit")
    with suppress(SystemExit):
        drain()
    with pytest.raises(TaskFailedError, match="SystemExit: 3"):
        result.get(timeout=1)


def test_a_result_that_was_not_stored_is_not_none(steer: Any) -> None:
    result = steer.delay("object")
    drain()
    assert result.state == "SUCCESS"
    with pytest.raises(SerializationError, match=r"result\.steer .* could not be stored"):
        result.get(timeout=1)


def test_an_id_of_nobody_is_pending(steer: Any) -> None:
    for unknown in (str(uuid4()), "no id"):
        result = AsyncResult(unknown)
        assert (result.state, result.result, result.traceback, result.job) == ("PENDING", None, None, None)
        with pytest.raises(TimeoutError):
            result.get(timeout=0)
        result.revoke()
        result.forget()


def test_get_in_a_transaction_would_never_end(steer: Any) -> None:
    with transaction.atomic():
        result = steer.delay("value")
        with pytest.raises(RuntimeError, match="in a transaction would wait for ever"):
            result.get()


def test_get_inside_a_task_is_refused_unless_allowed(app: Celery, steer: Any) -> None:
    @app.task(name="result.waits")
    def waits(allowed: bool, task_id: str) -> Any:
        if allowed:
            with allow_join_result():
                return AsyncResult(task_id).get()
        return AsyncResult(task_id).get()

    done = steer.delay("value")
    drain()
    refused, allowed = waits.delay(False, done.id), waits.delay(True, done.id)
    drain()
    assert allowed.get() == {"what": "value"}
    with pytest.raises(RuntimeError, match=r"never call result.get\(\) within a task"):
        refused.get()


def test_revoke_cancels_and_forget_deletes(app: Celery, steer: Any) -> None:
    first, second = steer.delay("value"), steer.delay("value")
    first.revoke()
    app.control.revoke([second.id], terminate=True)
    assert [first.state, second.state] == ["REVOKED", "REVOKED"]
    with pytest.raises(TaskRevokedError):
        first.get()
    first.forget()
    assert list(Job.objects.values_list("pk", flat=True)) == [second.job.pk]


def test_a_group_result_joins(steer: Any) -> None:
    group = GroupResult(None, [steer.delay(what) for what in ("a", "b")])
    assert (group.ready(), group.waiting(), group.completed_count(), len(group)) == (False, True, 0, 2)
    drain()
    assert group.join(timeout=5) == [{"what": "a"}, {"what": "b"}]
    seen: list[Any] = []
    group.get(callback=lambda task_id, value: seen.append((task_id, value["what"])))
    assert seen == [(group[0].id, "a"), (group[1].id, "b")]
    assert (group.successful(), group.failed(), group.completed_count()) == (True, False, 2)
    failing = GroupResult(None, [*group, steer.delay("ValueError")])
    drain()
    assert (failing.ready(), failing.successful(), failing.failed()) == (True, False, True)
    with pytest.raises(ValueError, match="wrong"):
        failing.get()


def test_update_state_is_seen_while_the_task_runs(app: Celery) -> None:
    seen = []

    @app.task(bind=True, name="result.progress")
    def progress(self: Any, *, total: int) -> str:
        self.update_state(state="PROGRESS", meta={"current": 3, "total": total})
        result = AsyncResult(self.request.id)
        job = Job.objects.get(pk=result.job.pk)
        seen.append((result.state, result.info, job.progress_done, job.progress_total, self.request.kwargs))
        return "done"

    result = progress.apply_async(kwargs={"total": 7}, headers={"a": 1})
    drain()
    assert seen == [("PROGRESS", {"current": 3, "total": 7}, 3, 7, {"total": 7})]
    assert (result.state, result.result) == ("SUCCESS", "done")
