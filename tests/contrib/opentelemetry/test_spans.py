"""Spans of enqueues and runs, the context between them, and the metrics."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, StatusCode

from django_jobs import Batch, Cancel, Chunk, ChunkItem, Discard, Retry, Snooze, chain, job, schedule, schedules
from django_jobs.backoff import Constant
from django_jobs.contrib.opentelemetry import DjangoJobsInstrumentor
from django_jobs.exceptions import ConfigurationError
from django_jobs.operations import replay
from django_jobs.testing import drain, fire
from tests.sampleapp import jobs as sample
from tests.statements import counted
from tests.worker.executors.running import run_in_turn

from .conftest import Telemetry

pytestmark = pytest.mark.django_db
asked: dict[str, BaseException] = {}
seen: list[Any] = []


@job(name="otel.raise", max_attempts=2, backoff=Constant(timedelta(0)), retry_on=(RuntimeError,), queue_name="mails")
def raise_asked() -> None:
    raise asked["error"]


@job(name="otel.look", queue_name="mails")
def look() -> None:
    seen.append((place(trace.get_current_span().get_span_context()), baggage.get_baggage("tenant")))
    sample.do_nothing.enqueue()


@job(name="otel.look_async", queue_name="mails")
async def look_async() -> None:
    await asyncio.sleep(0)
    seen.append((place(trace.get_current_span().get_span_context()), baggage.get_baggage("tenant")))


@job(name="otel.chunk", chunk=Chunk(10), queue_name="mails")
def take_many(jobs: Any) -> None:
    assert all(isinstance(item, ChunkItem) for item in jobs)


class Place(NamedTuple):
    """A span's ids: the same in the process that made it and in others."""

    trace_id: int
    span_id: int


def place(context: SpanContext | None) -> Place | None:
    return Place(context.trace_id, context.span_id) if context is not None else None


def context_of(span: ReadableSpan) -> Place | None:
    return place(span.get_span_context())


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def links(span: ReadableSpan) -> list[Place | None]:
    return [place(link.context) for link in span.links]


def test_a_run_is_a_trace_of_its_own_linked_to_the_enqueue(traced: Telemetry) -> None:
    with traced.tracer_provider.get_tracer("test").start_as_current_span("request") as request:
        enqueued = look.enqueue()
    seen.clear()
    assert drain(queues=["mails"]).succeeded == 1
    (producer, nested), (consumer,) = traced.producers, traced.consumers
    assert producer.name == "enqueue mails"
    assert place(producer.parent) == place(request.get_span_context())
    common = {"messaging.system": "django_jobs", "messaging.destination.name": "mails"}
    assert attributes(producer) == common | {
        "messaging.operation.name": "enqueue",
        "messaging.operation.type": "send",
        "messaging.message.id": str(enqueued.pk),
        "django_jobs.job.name": "otel.look",
    }
    assert consumer.name == "process mails"
    assert consumer.parent is None
    assert links(consumer) == [context_of(producer)]
    assert context_of(consumer)[0] != context_of(producer)[0]  # type: ignore[index]
    assert attributes(consumer) == common | {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": str(enqueued.pk),
        "django_jobs.job.name": "otel.look",
        "django_jobs.job.attempt": 1,
        "django_jobs.job.max_attempts": enqueued.max_attempts,
        "django_jobs.run.end": "succeeded",
    }
    assert consumer.status.status_code is StatusCode.UNSET
    assert seen == [(context_of(consumer), None)]
    assert place(nested.parent) == context_of(consumer)  # what a job enqueues is in the trace of its run
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_run_is_a_child_of_the_enqueue_by_option(telemetry: Telemetry) -> None:
    telemetry.instrument(process_as_child=True)
    sample.echo.enqueue(1)
    assert drain().succeeded == 1
    (producer,), (consumer,) = telemetry.producers, telemetry.consumers
    assert place(consumer.parent) == context_of(producer)
    assert links(consumer) == []


def test_the_environment_names_the_option(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_DJANGO_JOBS_PROCESS_AS_CHILD", "true")
    telemetry.instrument()
    sample.echo.enqueue(1)
    drain()
    assert place(telemetry.consumers[0].parent) == context_of(telemetry.producers[0])


@pytest.mark.parametrize("definition", [look, look_async], ids=["plain", "async"])
def test_baggage_reaches_the_job(traced: Telemetry, definition: Any) -> None:
    token = attach(baggage.set_baggage("tenant", "acme"))
    try:
        definition.enqueue()
    finally:
        detach(token)
    seen.clear()
    assert drain(queues=["mails"]).succeeded == 1
    assert seen == [(context_of(traced.consumers[0]), "acme")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("definition", [sample.echo, sample.echo_async], ids=["thread", "event loop"])
def test_executors_of_a_worker_trace_runs(traced: Telemetry, definition: Any) -> None:
    run_in_turn(definition.enqueue(1), definition.enqueue(2))
    assert [links(span) for span in traced.consumers] == [[context_of(span)] for span in traced.producers]
    assert {span.parent for span in traced.consumers} == {None}


def test_each_attempt_is_linked_to_the_enqueue(traced: Telemetry) -> None:
    asked["error"] = RuntimeError("it broke")
    raise_asked.enqueue()
    assert drain().dead == 1
    (producer,) = traced.producers
    assert [links(span) for span in traced.consumers] == [[context_of(producer)]] * 2
    told = [attributes(span) for span in traced.consumers]
    assert [(one["django_jobs.job.attempt"], one["django_jobs.run.end"]) for one in told] == [
        (1, "retried"),
        (2, "dead"),
    ]
    assert {one["error.type"] for one in told} == {"RuntimeError"}
    assert {span.status.status_code for span in traced.consumers} == {StatusCode.ERROR}
    assert [event.name for event in traced.consumers[0].events] == ["exception"]


class Odd(RuntimeError):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "end", "is_error", "state"),
    [
        (Snooze(timedelta(hours=1)), "snoozed", False, "scheduled"),
        (Cancel("enough"), "cancelled", False, "cancelled"),
        (Discard("no use"), "dead", True, "dead"),
        (Retry(timedelta(hours=1)), "retried", True, "scheduled"),
        (ValueError("not in retry_on"), "dead", True, "dead"),
        (SystemExit(1), "dead", True, "dead"),
        (Odd(), "retried", True, "dead"),  # by its second attempt
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_the_end_of_a_run_is_that_of_the_job(
    traced: Telemetry, error: BaseException, end: str, is_error: bool, state: str
) -> None:
    asked["error"] = error
    enqueued = raise_asked.enqueue()
    drain(queues=["mails"])
    consumer = traced.consumers[0]
    assert enqueued.refresh().state == state
    assert attributes(consumer)["django_jobs.run.end"] == end
    assert (consumer.status.status_code is StatusCode.ERROR, "error.type" in attributes(consumer)) == (is_error,) * 2


def test_enqueue_many_is_one_span_with_the_number_of_jobs(traced: Telemetry) -> None:
    sample.echo.enqueue_many([(1,), (2,), (3,)])
    assert sample.echo.enqueue_stream((number,) for number in range(2)) == 2
    drain()
    many, stream = traced.producers
    assert [attributes(span)["messaging.batch.message_count"] for span in (many, stream)] == [3, 2]
    assert "messaging.message.id" not in attributes(many)
    linked = [links(span) for span in traced.consumers]
    assert linked == [[context_of(many)]] * 3 + [[context_of(stream)]] * 2


def test_a_chain_is_one_span_without_a_queue_if_it_has_several(traced: Telemetry) -> None:
    chain(sample.echo.s(1), look.s().without_result()).enqueue()
    drain(queues=["default", "mails"])
    producer = traced.producers[0]
    assert producer.name == "enqueue"
    assert "messaging.destination.name" not in attributes(producer)
    assert attributes(producer)["messaging.batch.message_count"] == 2
    assert [links(span) for span in traced.consumers[:2]] == [[context_of(producer)]] * 2


def test_a_chunk_is_one_span_linked_to_all_enqueues(traced: Telemetry) -> None:
    take_many.enqueue_many([(1,), (2,)])
    take_many.enqueue(3)
    assert drain().succeeded == 3
    many, single = traced.producers
    (consumer,) = traced.consumers
    assert set(links(consumer)) == {context_of(many), context_of(single)}
    assert attributes(consumer)["messaging.batch.message_count"] == 3
    assert "messaging.message.id" not in attributes(consumer)


def test_ticks_copies_and_callbacks_have_a_span_of_their_enqueue(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "_definitions", {})
    original = sample.echo.enqueue(1)
    telemetry.instrument()
    with Batch(on_success=sample.add.s(1)):
        pass
    schedule("otel.tick", sample.digest, every=timedelta(hours=1))
    fire("otel.tick")
    replay(original)
    drain()
    enqueued = {attributes(span)["django_jobs.job.name"]: context_of(span) for span in telemetry.producers}
    assert set(enqueued) == {sample.add.name, sample.digest.name, sample.echo.name}
    linked = {attributes(span)["django_jobs.job.name"]: links(span) for span in telemetry.consumers[1:]}
    assert linked == {name: [context] for name, context in enqueued.items()}


def test_a_failed_enqueue_is_an_error(traced: Telemetry) -> None:
    with pytest.raises(ConfigurationError):
        sample.sync.enqueue_stream([(1,)])
    (producer,) = traced.producers
    assert producer.status.status_code is StatusCode.ERROR
    assert attributes(producer)["error.type"] == "django_jobs.exceptions.ConfigurationError"
    assert [point.value for point in traced.points("messaging.client.sent.messages")] == [0]


def test_metrics_count_jobs_and_time_runs_by_queue_and_error(traced: Telemetry) -> None:
    asked["error"] = RuntimeError("it broke")
    raise_asked.enqueue()
    sample.echo.enqueue_many([(1,), (2,)])
    sample.sync.enqueue(7)
    assert sample.sync.enqueue(7).is_duplicate
    drain()
    sent = {
        point.attributes["messaging.destination.name"]: point.value
        for point in traced.points("messaging.client.sent.messages")
    }
    assert sent == {"mails": 1, "default": 3}
    consumed = {
        point.attributes["messaging.destination.name"]: point.value
        for point in traced.points("messaging.client.consumed.messages")
    }
    assert consumed == {"mails": 2, "default": 3}
    runs = {
        (point.attributes["messaging.destination.name"], point.attributes.get("error.type")): point.count
        for point in traced.points("messaging.process.duration")
    }
    assert runs == {("mails", "RuntimeError"): 2, ("default", None): 3}
    (one, other) = traced.points("messaging.client.operation.duration")
    assert one.count + other.count == 4
    assert set(one.attributes) == {
        "messaging.system", "messaging.operation.name", "messaging.operation.type", "messaging.destination.name",
    }  # fmt: skip


def test_a_job_enqueued_without_tracing_runs_with_it(telemetry: Telemetry) -> None:
    sample.echo.enqueue(1)
    sample.echo.using(metadata={"opentelemetry": "mine"}).enqueue(2)
    telemetry.instrument()
    assert drain().succeeded == 2
    assert [(span.parent, links(span)) for span in telemetry.consumers] == [(None, [])] * 2


def test_switched_off_it_leaves_no_trace(traced: Telemetry) -> None:
    DjangoJobsInstrumentor().uninstrument()
    assert sample.echo.enqueue(1).metadata == {}
    assert drain().succeeded == 1
    assert traced.spans == []


def test_tracing_costs_no_statement(telemetry: Telemetry) -> None:
    with counted() as plain:
        sample.echo.enqueue(1)
        drain()
    telemetry.instrument()
    with counted() as traced:
        sample.echo.enqueue(1)
        drain()
    assert len(telemetry.consumers) == 1
    assert traced.statements == plain.statements
