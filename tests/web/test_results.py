"""Results over HTTP that are in a file, have expired, or cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from django_jobs.arguments.serialization import RESULT_EXPIRED, encode
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.result_storage import write_result
from django_jobs.web import status_url
from tests.factories import ago, make_job
from tests.results import files, storing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _storing(tmp_path: Path) -> Iterator[None]:
    with storing(tmp_path):
        yield


def _job() -> Job:
    file = write_result('{"n":1,"password":"hunter2"}', job_id=7, day=ago().date(), storage="results")
    return make_job(State.SUCCEEDED, result_data=file.reference())


def _answer(client: Client, job: Job) -> tuple[int, Any]:
    response = client.get(f"{status_url(job)}result/")
    body = response.json()
    return response.status_code, body.get("type", "").rpartition(":")[2] or body["result"]


def test_a_result_in_a_file_is_answered_like_any_other(client: Client) -> None:
    assert _answer(client, _job()) == (200, {"n": 1, "password": "********"})


def test_a_result_that_has_expired_is_gone(client: Client) -> None:
    job = make_job(State.SUCCEEDED, result_data=RESULT_EXPIRED)
    assert _answer(client, job) == (410, "result-expired")
    assert client.get(status_url(job)).json()["state"] == "succeeded"


def test_a_result_whose_file_is_gone_is_lost(client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    job = _job()
    files(tmp_path)[0].unlink()
    assert _answer(client, job) == (410, "result-lost")
    assert "it is gone" in caplog.text


def test_a_storage_that_is_down_asks_to_retry(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    job = _job()
    Job.objects.filter(pk=job.pk).update(result_data=job.result_data | {"storage": "broken"})
    assert _answer(client, job) == (503, "result-unreadable")
    assert client.get(f"{status_url(job)}result/")["Retry-After"] == "30"
    assert "the storage is down" in caplog.text


def test_an_incomplete_reference_is_not_a_file(client: Client) -> None:
    job = make_job(State.SUCCEEDED, result_data={"$type": "result_file", "name": 7})
    assert _answer(client, job) == (410, "result-lost")


@pytest.mark.parametrize("digits", [4_290, 4_300, 100_000])
def test_a_whole_number_that_python_does_not_write_is_hexadecimal_text(client: Client, digits: int) -> None:
    number = -(10**digits)
    job = make_job(State.SUCCEEDED, result_data={"numbers": [encode(number, what="result")]})
    status, shown = _answer(client, job)
    assert status == 200
    assert shown == {"numbers": [number if digits == 4_290 else hex(number)]}
