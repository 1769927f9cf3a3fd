"""The event stream, driven step by step inside the test: bounds, heartbeats, and clients that leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.test import AsyncClient, override_settings

from django_jobs.conf import SETTING
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.web import status_url, stream
from django_jobs.web.status_poller import poller
from tests.concurrency import wait_until
from tests.factories import make_job

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick")]


def _in_a_loop(test: Callable[[], Awaitable[None]]) -> None:
    async_to_sync(test)()


async def _open(job: Job, **headers: str) -> tuple[Any, AsyncIterator[str]]:
    response = await AsyncClient().get(f"{status_url(job)}events/", headers=headers)
    if not response.streaming:
        return response, _nothing()
    return response, (part.decode() async for part in response.streaming_content)


async def _nothing() -> AsyncIterator[str]:
    for nothing in ():
        yield nothing


async def _next(parts: AsyncIterator[str]) -> str:
    return await asyncio.wait_for(anext(parts), 20)


def test_a_silent_stream_has_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.02)
    job = make_job(State.RUNNING)

    async def test() -> None:
        _, parts = await _open(job)
        assert await _next(parts) == "retry: 2000\n\n"
        assert "event: status" in await _next(parts)
        assert await _next(parts) == await _next(parts) == ": still here\n\n"

    _in_a_loop(test)


def test_the_stream_of_an_ended_job_sends_its_status_and_ends() -> None:
    job = make_job(State.DEAD)

    async def test() -> None:
        _, parts = await _open(job)
        everything = [part async for part in parts]
        assert json.loads(everything[1].partition("data: ")[2])["state"] == "dead"
        assert everything[2:] == ["event: end\ndata: {}\n\n"]

    _in_a_loop(test)


def test_a_stream_ends_after_its_maximum_without_an_end_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_STREAM_SECONDS", 0.05)
    job = make_job(State.RUNNING)

    async def test() -> None:
        _, parts = await _open(job)
        everything = [part async for part in parts]
        assert not [part for part in everything if "event: end" in part]

    _in_a_loop(test)
    wait_until(lambda: not poller._waiters)


def test_a_client_that_disconnects_is_not_polled_for() -> None:
    job = make_job(State.RUNNING)

    async def test() -> None:
        response, parts = await _open(job)
        await _next(parts)
        await _next(parts)
        assert len(poller._waiters) == 1
        await parts.aclose()  # type: ignore[attr-defined]
        await response.streaming_content.aclose()

    _in_a_loop(test)
    wait_until(lambda: not poller._waiters, "the waiter to leave")


def test_a_job_that_is_purged_ends_its_streams() -> None:
    job = make_job(State.RUNNING)

    async def test() -> None:
        _, parts = await _open(job)
        await _next(parts)
        await _next(parts)
        await sync_to_async(Job.objects.filter(pk=job.pk)._raw_delete)("default")
        assert [part async for part in parts] == ["event: end\ndata: {}\n\n"]

    _in_a_loop(test)


def test_streams_beyond_the_maximum_are_refused() -> None:
    job = make_job(State.RUNNING)

    async def test() -> None:
        _, parts = await _open(job)
        await _next(parts)
        await _next(parts)
        refused, _ = await _open(job)
        assert (refused.status_code, refused["Retry-After"]) == (503, "5")
        assert refused.json()["type"].endswith(":too-many-streams")

    with override_settings(**{SETTING: {"STATUS": {"POLL_INTERVAL": 0.02, "MAX_WAITERS": 1}}}):
        _in_a_loop(test)


@pytest.mark.parametrize(("path", "status"), [("/jobs/nonsense/events/", 404), ("/jobs/1/events/", 403)])
def test_a_stream_needs_access_to_the_job(path: str, status: int) -> None:
    async def test() -> None:
        response = await AsyncClient().get(path)
        assert response.status_code == status

    _in_a_loop(test)


def test_an_accepted_job_has_a_stream_under_asgi() -> None:
    job = make_job()

    async def test() -> None:
        body = (await AsyncClient().get(status_url(job))).json()
        assert body["links"]["events"] == body["links"]["status"] + "events/"

    _in_a_loop(test)
