"""Pages of jobs that are in several databases: the address names the database, and each job is found in its own."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client, override_settings

from django_jobs.conf import get_settings
from django_jobs.conf.database import use_database
from django_jobs.models import Job
from django_jobs.testing import drain
from django_jobs.web import status_url
from django_jobs.web.signing import sign_job_id
from django_jobs.web.status_poller import poller
from django_jobs.web.tokens import create_token
from tests.concurrency import wait_until
from tests.sampleapp.jobs import do_nothing, echo

pytestmark = pytest.mark.usefixtures("eu_and_us")


@pytest.fixture
def staff(eu_and_us: Any) -> Client:
    """Staff who may see everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("chief"))
    return client


def _in_each(value: str) -> dict[str, Job]:
    """Enqueue one job in each database: those in ``eu`` and ``us`` have the same number."""
    jobs = {alias: echo.using(database=alias).enqueue(f"{value} {alias}") for alias in get_settings().aliases}
    assert jobs["eu"].pk == jobs["us"].pk
    return jobs


def test_each_address_is_that_of_its_own_job(client: Client) -> None:
    jobs = _in_each("value")
    with use_database("eu"):
        drain()

    answers = {alias: client.get(status_url(enqueued)).json() for alias, enqueued in jobs.items()}
    assert [answer["state"] for answer in answers.values()] == ["ready", "succeeded", "ready"]
    assert [answer["id"] for answer in answers.values()] == [f"{alias}:{jobs[alias].pk}" for alias in jobs]
    assert client.get(answers["eu"]["result"]).json() == {"result": "value eu"}


def test_staff_name_the_database_in_the_address(staff: Client) -> None:
    number = _in_each("value")["us"].pk
    with use_database("us"):
        drain()

    states = [staff.get(f"/jobs/{alias}:{number}/").json()["state"] for alias in ("eu", "us")]
    assert states == ["ready", "succeeded"]
    assert staff.get(f"/jobs/us:{number}/result/").json() == {"result": "value us"}
    assert staff.get(f"/jobs/asia:{number}/").json()["type"].endswith(":bad-address")


def test_a_number_of_the_time_before_is_that_of_the_first(staff: Client, client: Client) -> None:
    number = _in_each("value")["default"].pk

    for found in (staff.get(f"/jobs/{number}/"), client.get(f"/jobs/{sign_job_id(number)}/")):
        assert found.json()["id"] == f"default:{number}"


def test_the_owner_is_asked_about_the_job_of_that_database(client: Client) -> None:
    number = _in_each("value")["us"].pk
    settings: Any = {"STATUS": {"ACCESS_CHECK": lambda request, job: job._state.db == "us"}}
    with override_settings(DJANGO_JOBS={"DATABASES": ["default", "eu", "us"], **settings}):
        codes = [client.get(f"/jobs/{alias}:{number}/").status_code for alias in ("eu", "us")]
    assert codes == [403, 200]


def test_an_enqueue_over_http_answers_where_the_job_is(client: Client) -> None:
    _, token = create_token("billing", job_names=[echo.name])
    choose = "tests.store.enqueue.test_many_databases.by_region"
    with override_settings(DJANGO_JOBS={"DATABASES": ["default", "eu", "us"], "CHOOSE_DATABASE": choose}):
        answer = client.post(
            f"/jobs/enqueue/{echo.name}/",
            json.dumps({"value": {"region": "us"}}),
            content_type="application/json",
            headers={"authorization": f"Bearer {token}"},
        )

    assert answer.status_code == 202
    assert answer.json()["id"] == f"us:{Job.objects.using('us').get().pk}"
    assert client.get(answer["Location"]).json()["id"] == answer.json()["id"]


def test_the_document_of_the_api_says_that_an_id_is_a_text(staff: Client) -> None:
    several = staff.get("/jobs/openapi.json").json()
    with override_settings(DJANGO_JOBS={}):
        one = staff.get("/jobs/openapi.json").json()

    assert [found["components"]["schemas"]["JobId"]["type"] for found in (several, one)] == ["string", "integer"]


def test_clients_that_wait_are_told_of_the_job_of_their_database() -> None:
    number = do_nothing.using(database="eu").enqueue().pk
    others = do_nothing.using(database="us").enqueue()
    assert others.pk == number
    answers: dict[str, Any] = {}

    def wait_for(alias: str) -> None:
        try:
            answers[alias] = Client().get(f"{addresses[alias]}?wait=30").json()
        finally:
            connections.close_all()

    settings: Any = {"STATUS": {"POLL_INTERVAL": 0.02, "MAX_WAIT": 30}}
    with override_settings(DJANGO_JOBS={"DATABASES": ["default", "eu", "us"], **settings}):
        addresses = {alias: status_url(Job.objects.using(alias).get()) for alias in ("eu", "us")}
        threads = [threading.Thread(target=wait_for, args=(alias,)) for alias in addresses]
        for thread in threads:
            thread.start()
        wait_until(lambda: {waiter.database for waiter in poller._waiters} == {"eu", "us"}, "both to wait")
        others.cancel()
        threads[1].join(30)
        assert (list(answers), answers["us"]["state"]) == (["us"], "cancelled")
        Job.objects.using("eu").get().cancel()
        threads[0].join(30)
        assert answers["eu"]["state"] == "cancelled"
        wait_until(lambda: poller._threads == {}, "the pollers to end")
