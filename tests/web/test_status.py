"""The status page of a job, as programs read it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import reverse

from django_jobs.conf import SETTING
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import Job
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.progress import save_progress
from django_jobs.web import accepted, status_url
from django_jobs.web.signing import sign_job_id
from tests.factories import ago, make_expiry, make_job, make_letter, make_worker, take
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db


def _accept(job: Job) -> HttpResponse:
    return accepted(RequestFactory().post("/export/"), job)


def test_accepted_has_the_address_and_when_to_ask(client: Client) -> None:
    response = _accept(sample.add.enqueue(1, 2))
    assert (response.status_code, response["Retry-After"]) == (202, "1")
    where = response["Location"]
    assert where.startswith("/jobs/")
    body = client.get(where).json()
    assert (body["state"], body["is_final"], body["progress"], body["result"]) == ("ready", False, None, None)
    assert body["links"] == {"status": where, "result": f"{where}result/"}


def test_retry_after_of_a_scheduled_job_is_when_it_is_due() -> None:
    response = _accept(sample.add.using(run_after=timedelta(minutes=5)).enqueue(1))
    assert 299 <= int(response["Retry-After"]) <= 300


def test_missing_urls_are_an_error_with_the_fix() -> None:
    job = make_job()
    with override_settings(ROOT_URLCONF=()), pytest.raises(ConfigurationError, match="to urlpatterns"):
        status_url(job)


def test_progress_is_shown_while_it_runs(client: Client) -> None:
    worker = make_worker()
    job = sample.add.enqueue(1)
    (claim,) = take(worker)
    notes = {"progress_done": 3, "progress_total": 9, "progress_message": "pages"}
    assert save_progress(claim, notes, worker_id=worker.pk)
    response = client.get(status_url(job))
    assert response.json()["progress"] == {"done": 3, "total": 9, "message": "pages"}
    assert response.json()["state"] == "running"
    assert response["Retry-After"] == "1"


def test_retry_after_grows_with_the_age(client: Client) -> None:
    job = make_job(State.RUNNING, enqueued_at=ago(minutes=5))
    assert client.get(status_url(job))["Retry-After"] == "31"


def test_a_job_that_succeeded_leads_to_its_result(client: Client) -> None:
    job = make_job(State.SUCCEEDED, result_data={"file": "a.csv"})
    response = client.get(status_url(job))
    assert response["Content-Type"] == "application/json"
    assert "Retry-After" not in response
    result = client.get(response.json()["result"])
    assert result.json() == {"result": {"file": "a.csv"}}
    assert result["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(("state", "slug"), [(State.DEAD, "job-dead"), (State.CANCELLED, "job-cancelled")], ids=str)
def test_a_job_that_failed_is_problem_details(client: Client, state: State, slug: str) -> None:
    job = make_job(state)
    make_letter(job, error_message="secret of the house")
    response = client.get(status_url(job))
    assert (response.status_code, response["Content-Type"]) == (200, "application/problem+json")
    body = response.json()
    assert body["type"] == f"urn:problem-type:django-jobs:{slug}"
    assert body["instance"] == body["links"]["status"]
    assert (body["state"], body["is_final"], body["result"]) == (state.value, True, None)
    assert body["title"]
    assert body["detail"]
    assert b"secret of the house" not in response.content


def test_an_expired_job_says_so_to_every_client(client: Client) -> None:
    job = make_job(State.CANCELLED, flags=JobFlag.EXPIRES)
    make_expiry(job, expires_at=ago(minutes=5), check_at=None, expired_at=ago(minutes=4))
    body = client.get(status_url(job)).json()
    assert body["type"] == "urn:problem-type:django-jobs:job-cancelled"
    assert body["detail"].startswith("It did not start before it expired.")


@pytest.mark.parametrize(
    ("state", "status", "slug"),
    [
        (State.READY, 409, "job-not-ended"),
        (State.RUNNING, 409, "job-not-ended"),
        (State.DEAD, 409, "job-dead"),
        (State.CANCELLED, 409, "job-cancelled"),
    ],
    ids=str,
)
def test_there_is_no_result_before_success(client: Client, state: State, status: int, slug: str) -> None:
    response = client.get(f"{status_url(make_job(state))}result/")
    assert _problem(response) == (status, slug)
    assert response.json()["status"] == status


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (None, None),
        ([1, "two", None], [1, "two", None]),
        ({"$type": "datetime", "value": "2026-01-02T03:04:05+00:00"}, "2026-01-02T03:04:05+00:00"),
        ({"$type": "timedelta", "value": "90000000"}, "P0DT00H01M30S"),
        ({"$type": "decimal", "value": "1.20"}, "1.20"),
        ({"$type": "bytes", "value": "AAE="}, "AAE="),
        ({"$type": "int", "value": hex(2**80)}, 2**80),
        ({"$type": "float", "value": "1e+300"}, 1e300),
        ({"$type": "text", "value": "a\\x00b"}, "a\0b"),
        ({"$type": "dict", "value": {"$type": "mine"}}, {"$type": "mine"}),
        ({"$type": "model", "model": "shop.order", "pk": 7, "using": "x"}, {"model": "shop.order", "pk": 7}),
        ({"user": 7, "api_token": "abc"}, {"user": 7, "api_token": "********"}),
    ],
)  # fmt: skip
def test_results_are_plain_json_with_secrets_masked(client: Client, stored: Any, shown: Any) -> None:
    job = make_job(State.SUCCEEDED, result_data=stored)
    assert client.get(f"{status_url(job)}result/").json() == {"result": shown}


@pytest.mark.parametrize("stored", [{"$type": "not_storable"}, {"$type": "spaceship", "value": 1}])
def test_a_result_that_cannot_be_read_is_gone(client: Client, stored: Any) -> None:
    job = make_job(State.SUCCEEDED, result_data=stored)
    assert _problem(client.get(f"{status_url(job)}result/")) == (410, "result-lost")


def test_the_result_of_a_job_with_secrets_is_never_shown(admin_client: Client) -> None:
    job = make_job(State.SUCCEEDED, name=sample.charge.name, result_data="charged 4929")
    for where in (status_url(job), f"/jobs/{job.pk}/"):
        assert admin_client.get(where).json()["result"] is None
        response = admin_client.get(f"{where}result/")
        assert _problem(response) == (403, "result-withheld")
        assert b"4929" not in response.content


def test_arguments_are_never_shown(admin_client: Client) -> None:
    job = make_job(State.RUNNING, arguments={"name": "Ada Lovelace"}, metadata={"tenant": "blue whale"})
    for headers in ({}, {"accept": "text/html"}):
        content = admin_client.get(f"/jobs/{job.pk}/", headers=headers).content
        assert b"Lovelace" not in content
        assert b"whale" not in content


def test_an_unchanged_page_is_304(client: Client) -> None:
    job = make_job(State.RUNNING, progress_done=1, progress_total=2)
    where = status_url(job)
    first = client.get(where)
    again = client.get(where, headers={"if-none-match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert again["Retry-After"] == "1"
    Job.objects.filter(pk=job.pk).update(progress_done=2)
    changed = client.get(where, headers={"if-none-match": first["ETag"]})
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]


def test_a_browser_gets_a_page_with_the_bar(client: Client) -> None:
    job = make_job(State.RUNNING, progress_done=3, progress_total=9, progress_message="<b>pages</b>")
    response = client.get(status_url(job), headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert response["Content-Type"].startswith("text/html")
    page = response.content.decode()
    assert '<progress role="progressbar" aria-label="Progress" max="9" value="3">' in page
    assert "In progress: 3 / 9 \u2013 &lt;b&gt;pages&lt;/b&gt;" in page
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in page
    assert "Accept" in response["Vary"]


def test_a_head_request_is_answered_without_a_body(client: Client) -> None:
    response = client.head(status_url(make_job()))
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("page", ["", "result/", "events/"])
@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_pages_are_read_only(client: Client, page: str, method: str) -> None:
    response = getattr(client, method)(status_url(make_job()) + page)
    assert _problem(response) == (405, "wrong-method")
    assert "GET" in response["Allow"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("wait=abc", "expected wait= with a number of seconds from 0 to 30, got 'abc'"),
        ("wait=", "got ''"),
        ("wait=-1", "got -1"),
        ("wait=31", "got 31; ask again for longer waits"),
        ("wait=nan", "got nan"),
        ("wait=inf", "got inf"),
        ("wait=" + "9" * 5_000, "got 9999"),
    ],
)
def test_a_wrong_wait_is_refused_with_the_maximum(client: Client, query: str, said: str) -> None:
    response = client.get(f"{status_url(make_job())}?{query}")
    assert _problem(response) == (400, "wrong-wait")
    assert said in response.json()["detail"]


def test_an_address_expires_after_the_setting(client: Client) -> None:
    where = status_url(make_job())
    with override_settings(**{SETTING: {"STATUS": {"URL_MAX_AGE": timedelta(hours=1)}}}):
        assert client.get(where).status_code == 200
    with override_settings(**{SETTING: {"STATUS": {"URL_MAX_AGE": timedelta(microseconds=1)}}}):
        response = client.get(where)
    assert _problem(response) == (410, "address-expired")


def _broken(key: str) -> list[str]:
    number, stamp, signature = key.split(":")
    return [
        f"{int(number) + 1}:{stamp}:{signature}",
        f"{number}:{stamp}:{signature[:-1]}",
        f"{number}:{stamp}:{'a' * len(signature)}",
        f"{number}:{stamp}",
        "nonsense",
        "9" * 30,
        "9" * 10_000,
        "\u0663",
        "0x10",
        "-1",
        "1:2:3:4:5",
    ]


@pytest.mark.parametrize("at", range(11))
@pytest.mark.parametrize("page", ["", "result/"])
def test_a_wrong_signature_is_refused(client: Client, at: int, page: str) -> None:
    key = _broken(sign_job_id(make_job().pk))[at]
    response = client.get(reverse("django_jobs:status", args=[key]) + page)
    assert _problem(response) == (404, "bad-address")


def test_a_browser_with_a_wrong_signature_gets_a_page(client: Client) -> None:
    response = client.get("/jobs/nonsense/", headers={"accept": "text/html"})
    assert response.status_code == 404
    assert "There is nothing at this address." in response.content.decode()


def test_the_address_of_a_deleted_job_is_404(client: Client) -> None:
    job = make_job(State.SUCCEEDED)
    where = status_url(job)
    Job.objects.filter(pk=job.pk)._raw_delete("default")
    assert _problem(client.get(where)) == (404, "job-gone")
    assert _problem(client.get(f"{where}result/")) == (404, "job-gone")


def test_without_asgi_a_stream_is_refused_with_an_alternative(client: Client) -> None:
    response = client.get(f"{status_url(make_job())}events/")
    assert _problem(response) == (501, "needs-asgi")
    assert "?wait=" in response.json()["detail"]


def _problem(response: Any) -> tuple[int, str]:
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body.keys() >= {"type", "title", "detail", "status"}
    return response.status_code, body["type"].removeprefix("urn:problem-type:django-jobs:")
