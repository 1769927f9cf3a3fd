"""Real servers, real clients and a real worker: what became of the job, told while it happens."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import pytest

from django_jobs.models import Job
from django_jobs.web import status_url
from django_jobs.web.tokens import create_token
from tests.concurrency import DEADLINE_SECONDS
from tests.misbehaving import jobs as misbehaving
from tests.process.conftest import StartWorker
from tests.sampleapp import jobs as sample
from tests.serving import Interface, serving


@pytest.fixture(params=["wsgi", "asgi"])
def server(request: pytest.FixtureRequest, worker_environment: dict[str, str]) -> Iterator[str]:
    with serving(cast("Interface", request.param), _environment(worker_environment)) as address:
        yield address


@pytest.fixture
def asgi_server(worker_environment: dict[str, str]) -> Iterator[str]:
    with serving("asgi", _environment(worker_environment)) as address:
        yield address


def _environment(worker_environment: dict[str, str]) -> dict[str, str]:
    return {
        **worker_environment,
        "DJANGO_JOBS_TEST_OPTIONS": json.dumps({"STATUS": {"POLL_INTERVAL": 0.05}}),
    }


def _get(address: str, path: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=DEADLINE_SECONDS)) as line:
        line.request("GET", path, headers=headers)
        response = line.getresponse()
        content = response.read()
        return response.status, dict(response.headers), json.loads(content) if content else None


def test_a_client_polls_until_its_job_has_ended_and_fetches_the_result(
    server: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    job = misbehaving.count_files.enqueue(str(tmp_path / "file"), 2)
    where, seen = status_url(job), []
    start_worker()
    known = ""
    for _ in range(100):
        headers = {"If-None-Match": known} if known else {}
        status, headers, body = _get(server, f"{where}?wait=20", **headers) if known else _get(server, where)
        if status == 304:
            continue
        assert status == 200
        known = headers["ETag"]
        seen.append((body["state"], (body["progress"] or {}).get("done")))
        if body["is_final"]:
            break
        number = len([one for one in seen if one[0] == "running"])
        (tmp_path / f"file.{number}").touch()
    assert ("running", 1) in seen
    assert seen[-1] == ("succeeded", 2)
    assert _get(server, body["result"])[2] == {"result": 2}


def test_a_poll_that_waits_for_the_end_is_answered_by_it(
    server: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), "done")
    (tmp_path / "go").touch()
    start_worker()
    _, _, body = _get(server, f"{status_url(job)}?wait=25")
    assert body["state"] == "succeeded"


def test_a_failure_is_answered_as_problem_details(server: str, start_worker: StartWorker) -> None:
    job = sample.fail.enqueue("the disk is full")
    start_worker()
    status, headers, body = _get(server, f"{status_url(job)}?wait=25")
    assert (status, headers["Content-Type"], body["state"]) == (200, "application/problem+json", "dead")
    assert "the disk is full" not in json.dumps(body)


def test_one_request_sent_many_times_at_once_is_one_job(server: str) -> None:
    _, token = create_token("billing", job_names=[sample.add.name])
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "order-7"}

    def send(_: int) -> Any:
        where = f"{server}/jobs/enqueue/{sample.add.name}/"
        response = httpx.post(where, json={"first": 1}, headers=headers, timeout=DEADLINE_SECONDS)
        assert response.status_code == 202, response.text
        return response.json()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert sorted(one["is_duplicate"] for one in answers) == [False] + [True] * 7
    assert {one["id"] for one in answers} == set(Job.objects.values_list("pk", flat=True))


def _events(response: httpx.Response) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in response.iter_lines():
        if not line:
            if event:
                yield event
            event = {}
        elif not line.startswith(":"):
            field, _, value = line.partition(": ")
            event[field] = value


def test_a_stream_sends_every_change_and_ends(asgi_server: str, start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.count_files.enqueue(str(tmp_path / "file"), 2)
    where = f"{asgi_server}{status_url(job)}events/"
    seen, last = [], ""
    with httpx.stream("GET", where, timeout=DEADLINE_SECONDS) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        start_worker()
        for event in _events(response):
            if event.get("event") == "status":
                body, last = json.loads(event["data"]), event["id"]
                seen.append((body["state"], (body["progress"] or {}).get("done")))
                if body["state"] == "running":
                    number = 1 if body["progress"] is None else body["progress"]["done"] + 1
                    (tmp_path / f"file.{number}").touch()
            elif event.get("event") == "end":
                break
        else:
            pytest.fail(f"the stream ended without a word after {seen}")
    assert seen[0] == ("ready", None)
    assert ("running", 1) in seen
    assert seen[-1] == ("succeeded", 2)
    again = httpx.get(where, headers={"Last-Event-ID": last}, timeout=DEADLINE_SECONDS)
    assert (again.status_code, again.content) == (204, b"")


def test_a_reconnecting_client_gets_only_new_events(asgi_server: str, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    where = f"{asgi_server}{status_url(job)}events/"

    def first(**headers: str) -> dict[str, str]:
        with httpx.stream("GET", where, headers=headers, timeout=DEADLINE_SECONDS) as response:
            return next(one for one in _events(response) if "data" in one)

    known = first()
    assert first(**{"Last-Event-ID": "an older one"}) == known
    job.cancel()
    after = first(**{"Last-Event-ID": known["id"]})
    assert json.loads(after["data"])["state"] == "cancelled"
    assert after["id"] != known["id"]


def test_fifty_streams_are_served_by_one_process(asgi_server: str, start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), "done")
    where = f"{asgi_server}{status_url(job)}events/"
    limits = httpx.Limits(max_connections=50)
    with httpx.Client(timeout=DEADLINE_SECONDS, limits=limits) as client:
        responses = [client.send(client.build_request("GET", where), stream=True) for _ in range(50)]
        streams = [_events(one) for one in responses]
        assert {json.loads(_next_status(one)["data"])["state"] for one in streams} == {"ready"}
        (tmp_path / "go").touch()
        start_worker()
        states = [[json.loads(one["data"])["state"] for one in rest if "id" in one][-1] for rest in streams]
        for response in responses:
            response.close()
    assert states == ["succeeded"] * 50


def _next_status(stream: Iterator[dict[str, str]]) -> dict[str, str]:
    return next(one for one in stream if one.get("event") == "status")
