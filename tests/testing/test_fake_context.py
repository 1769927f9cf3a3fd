"""A function that is called plainly may report progress, log and read its metadata."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from django_jobs import Cancel, Retry, current_job, job
from django_jobs.context import JobContext
from django_jobs.exceptions import NoCurrentJobError, SerializationError
from django_jobs.testing import FakeContext, fake_context


@job(name="testing.render", queue_name="documents", priority=7, max_attempts=3)
def render(pages: int) -> str:
    context = current_job()
    for page in range(pages):
        context.raise_if_cancelled()
        context.set_progress(page + 1, pages, f"page {page + 1}")
    context.log("rendered", level="warning")
    context.metadata["pages"] = pages
    context.save_metadata()
    return f"{context.name} in {context.queue_name}, attempt {context.attempt} of {context.max_attempts}"


@job(name="testing.given", takes_context=True)
def given(context: JobContext, number: int) -> int:
    if context.attempt == number:
        raise Retry
    return context.job_id


@job(name="testing.render_async")
async def render_async(pages: int) -> bool:
    await asyncio.sleep(0)
    current_job().set_progress(pages)
    return await current_job().acancel_requested()


def test_what_it_reports_is_kept() -> None:
    with fake_context(render, metadata={"tenant": "blue"}) as context:
        assert render(3) == "testing.render in documents, attempt 1 of 3"
    assert isinstance(context, FakeContext)
    assert context.progress == [(1, 3, "page 1"), (2, 3, "page 2"), (3, 3, "page 3")]
    assert [(line.level, line.message) for line in context.lines] == [("WARNING", "rendered")]
    assert context.saved_metadata == {"tenant": "blue", "pages": 3}
    assert (context.priority, context.enqueued_at.tzinfo) == (7, UTC)


def test_without_a_job_it_has_the_defaults_and_ends_with_the_block() -> None:
    with fake_context(attempt=2, max_attempts=9, queue_name="slow", due_at=datetime(2026, 1, 1, tzinfo=UTC)) as context:
        assert render(0) == "example.job in slow, attempt 2 of 9"
        assert current_job().due_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert context.progress == []
    with pytest.raises(NoCurrentJobError):
        current_job()


def test_metadata_is_kept_as_it_was_saved() -> None:
    with fake_context() as context:
        context.metadata["list"] = [1]
        context.save_metadata()
        context.metadata["list"].append(2)
    assert context.saved_metadata == {"list": [1]}


def test_cancellation_is_requested_by_the_test() -> None:
    with fake_context(render) as context:
        context.request_cancel()
        with pytest.raises(Cancel):
            render(1)
    assert context.progress == []


def test_the_context_is_given_to_a_function_that_takes_one_and_its_exceptions_reach_the_test() -> None:
    with fake_context(given, attempt=2, job_id=70) as context:
        assert given(context, 1) == 70
        with pytest.raises(Retry):
            given(context, 2)


def test_asynchronous_functions_have_it_too() -> None:
    async def test() -> list[Any]:
        with fake_context(render_async) as context:
            assert await render_async(5) is False
        return context.progress

    assert asyncio.run(test()) == [(5, None, "")]


@pytest.mark.parametrize("wrong", [-1, "all", 2**70])
def test_it_refuses_what_a_worker_refuses(wrong: Any) -> None:
    with fake_context() as context:
        with pytest.raises((TypeError, ValueError)):
            context.set_progress(wrong)
        context.metadata["no"] = object()
        with pytest.raises(SerializationError):
            context.save_metadata()
        with pytest.raises(ValueError, match="level"):
            context.log("x", level="loud")
    assert (context.progress, context.lines, context.saved_metadata) == ([], [], None)
