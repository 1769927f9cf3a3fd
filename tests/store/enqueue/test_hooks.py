"""What hooks add to the metadata of new jobs, whichever way they are enqueued."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, models

from django_jobs import Batch, chain, current_job, enqueue, find_job, job, operations
from django_jobs.builtin_jobs import replay_matching
from django_jobs.definition import JobDefinition
from django_jobs.exceptions import ConfigurationError, PayloadTooLargeError, SerializationError
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.testing import drain
from django_jobs.worker.duties.scheduler import fire_due
from tests.factories import make_job, make_schedule
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
names: list[str] = []
returned: Any = {}


class Tenant:
    def on_enqueue(self, definition: JobDefinition[..., Any]) -> dict[str, Any]:
        names.append(definition.name)
        return {"tenant": tenant.get(), "by": "Tenant"}


class Request:
    def on_enqueue(self, definition: JobDefinition[..., Any]) -> dict[str, Any]:
        return {"request_id": "r-1", "by": "Request"}


class Returning:
    def on_enqueue(self, definition: JobDefinition[..., Any]) -> Any:
        if isinstance(returned, BaseException):
            raise returned
        return returned


class NeedsDatabase:
    def on_enqueue(self, definition: JobDefinition[..., Any]) -> Any:
        Customer.objects.create(name="x", pk=Customer.objects.create(name="y").pk)


@job(name="hooks.own_metadata")
def own_metadata() -> Any:
    return current_job().metadata


ADDED = {"tenant": "acme", "request_id": "r-1", "by": "Request"}


@pytest.fixture(autouse=True)
def _hooks(settings: Any) -> Any:
    settings.DJANGO_JOBS = {"HOOKS": [f"{__name__}.Tenant", f"{__name__}.Request"]}
    token = tenant.set("acme")
    names.clear()
    yield
    tenant.reset(token)


def use(settings: Any, *hooks: str) -> None:
    settings.DJANGO_JOBS = {"HOOKS": [f"{__name__}.{hook}" for hook in hooks]}


WAYS: dict[str, Callable[[], object]] = {
    "enqueue": lambda: sample.add.enqueue(1),
    "aenqueue": lambda: async_to_sync(sample.add.aenqueue)(1),
    "enqueue_many": lambda: sample.add.enqueue_many([(1,), (2,)]),
    "enqueue_stream": lambda: sample.add.enqueue_stream([(1,), (2,)]),
    "a call": lambda: sample.add.s(1).enqueue(),
    "a chain": lambda: chain(sample.add.s(1), sample.add.s(2)).enqueue(),
    "after": lambda: sample.add.after(sample.add.enqueue(1)).enqueue(2),
    "by name": lambda: enqueue(sample.add.name, 1),
    "by a name that nobody knows": lambda: find_job("another.service", unknown="allow").enqueue(1),
    "unique": lambda: sample.sync.enqueue(1),
    "a key": lambda: sample.add.using(idempotency_key="k").enqueue(1),
    "limited": lambda: sample.bill.enqueue(1),
    "a schedule": lambda: make_schedule() and fire_due(using=connection.alias),
    "a schedule by hand": lambda: operations.run_schedule(make_schedule()),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_enqueueing_asks_the_hooks(way: str) -> None:
    WAYS[way]()
    jobs = list(Job.objects.all())
    assert jobs
    for one in jobs:
        assert one.metadata | ADDED == one.metadata
        assert one.name in names


def test_the_returned_job_has_the_metadata_too() -> None:
    assert sample.add.enqueue(1).metadata == ADDED


def test_one_enqueue_asks_once() -> None:
    sample.add.enqueue_many([(number,) for number in range(5)])
    assert names == [sample.add.name]


def test_a_graph_asks_once_for_each_job_and_its_options() -> None:
    chain(sample.add.s(1), sample.add.s(2), sample.add.using(priority=1).s(3), sample.echo.s()).enqueue()
    assert names == [sample.add.name, sample.add.name, sample.echo.name]


def test_what_the_caller_gives_wins() -> None:
    one = sample.add.using(metadata={"tenant": "given", "n": 1}).enqueue(1)
    assert one.refresh().metadata == ADDED | {"tenant": "given", "n": 1}


def test_the_key_of_an_earlier_job_keeps_its_metadata() -> None:
    first = sample.add.using(idempotency_key="k").enqueue(1)
    with tenant_of("other"):
        assert sample.add.using(idempotency_key="k").enqueue(1).pk == first.pk
    assert first.refresh().metadata["tenant"] == "acme"


def test_a_callback_has_the_metadata_of_the_code_that_named_it() -> None:
    with Batch(on_complete=sample.echo.s("over")) as batch:
        sample.add.enqueue(1)
    with tenant_of("other"):
        assert drain().succeeded == 2
    callback = Job.objects.get(name=sample.echo.name)
    assert callback.metadata == ADDED | {"batch": batch.id}


@pytest.mark.parametrize("replay", [operations.replay, lambda job: Job.objects.filter(pk=job.pk).replay()])
def test_a_copy_keeps_what_its_original_had_and_gets_what_that_lacked(replay: Callable[[Job], list[int]]) -> None:
    one = make_job(State.SUCCEEDED, name=sample.add.name, metadata={"tenant": "old"})
    (copy_id,) = replay(one)
    assert Job.objects.get(pk=copy_id).metadata == ADDED | {"tenant": "old", "copy_of": one.pk}


def test_copies_of_jobs_that_match_get_it_too() -> None:
    jobs = [make_job(State.SUCCEEDED, name=sample.add.name) for _ in range(3)]
    replay_matching.enqueue(jobs={"state": "succeeded"})
    names.clear()
    drain(queues=["default"], max_runs=10)
    copies = Job.objects.filter(metadata__copy_of__in=[job.pk for job in jobs])
    assert [copy.metadata["request_id"] for copy in copies] == ["r-1"] * 3
    assert names == [sample.add.name]


def test_a_job_of_another_project_is_copied_as_it_is() -> None:
    one = make_job(State.SUCCEEDED, name="another.service", metadata={"n": 1})
    (copy_id,) = operations.replay(one)
    assert Job.objects.get(pk=copy_id).metadata == {"n": 1, "copy_of": one.pk}


def test_values_arrive_as_they_were(settings: Any) -> None:
    use(settings, "Returning")
    value = {"when": None, "n": 2**70, "b": b"x", "text": "\u00fc\0"}
    with returning(value):
        one = own_metadata.enqueue()
        make_schedule(job_name=own_metadata.name)
        fire_due(using=connection.alias)
    drain()
    results = [row.result for row in Job.objects.order_by("pk")]
    assert results[0] == value
    assert results[1] | value == results[1]
    assert one.refresh().state == "succeeded"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, ConfigurationError, "expected a dict for the job's metadata, {} to add nothing; got None"),
        (["secret"], ConfigurationError, "got a value of type list"),
        ({"at": object()}, SerializationError, r"metadata|object"),
        ({"$type": "x"}, ConfigurationError, "expected keys other than"),
        ({"django_jobs_task": {}}, ConfigurationError, "expected keys other than .*'django_jobs_task'"),
        ({"row": models.Model}, SerializationError, "row"),
        ({"long": "x" * 2_000_000}, PayloadTooLargeError, "metadata of 2000"),
        (RuntimeError("no tenant"), RuntimeError, "no tenant"),
    ],
)
def test_a_failing_hook_refuses_the_enqueue(settings: Any, value: Any, kind: type[Exception], expected: str) -> None:
    use(settings, "Returning")
    with returning(value), pytest.raises(kind, match=expected) as caught:
        sample.add.enqueue(1)
    with returning(value), pytest.raises(kind, match=expected):
        sample.add.enqueue_stream([(1,)])
    assert not Job.objects.exists()
    if kind is not RuntimeError and kind is not PayloadTooLargeError:
        assert str(caught.value).startswith(f"{__name__}.Returning.on_enqueue for {sample.add.name}")


@pytest.mark.parametrize("hook", ["Returning", "NeedsDatabase"])
def test_a_schedule_fires_without_what_a_failing_hook_would_add(
    settings: Any, caplog: pytest.LogCaptureFixture, hook: str
) -> None:
    use(settings, hook)
    make_schedule()
    with returning(SystemExit(3)), caplog.at_level(logging.ERROR, "django_jobs.scheduler"):
        assert fire_due(using=connection.alias).fired == 1
    (record,) = caplog.records
    assert "a hook failed; the schedule enqueues it without metadata of the hooks" in record.getMessage()
    assert record.exc_info is not None
    assert set(Job.objects.get().metadata) == {"due_at", "schedule"}
    assert not Customer.objects.exists()


def test_a_schedule_that_is_fired_by_hand_tells_of_the_failure(settings: Any) -> None:
    use(settings, "Returning")
    schedule = make_schedule()
    with returning(RuntimeError("no tenant")), pytest.raises(RuntimeError, match="no tenant"):
        operations.run_schedule(schedule)
    assert not Job.objects.exists()


def test_a_waiting_job_that_is_replaced_gets_the_metadata_of_the_new_enqueue() -> None:
    one = sample.sync_newest.enqueue(1)
    with tenant_of("other"):
        assert sample.sync_newest.enqueue(1).pk == one.pk
    assert one.refresh().metadata["tenant"] == "other"


class tenant_of:  # noqa: N801
    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._token = tenant.set(self._name)

    def __exit__(self, *_: object) -> None:
        tenant.reset(self._token)


class returning:  # noqa: N801
    def __init__(self, value: Any) -> None:
        self._value = value

    def __enter__(self) -> None:
        global returned
        returned = self._value

    def __exit__(self, *_: object) -> None:
        global returned
        returned = {}
