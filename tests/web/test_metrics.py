"""``GET metrics/``: who may read it, the text for Prometheus, the JSON for others."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from django_jobs.policy.states import State
from django_jobs.web.models import Token
from django_jobs.web.tokens import create_token, revoke_token
from tests.admin.staff import log_in
from tests.factories import ago, make_job, make_jobs, make_queue, make_worker
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db

PAGE = "/jobs/metrics/"


def _bearer(**rights: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {create_token('monitoring', **rights)[1]}"}


def _get(query: str = "", **options: Any) -> Any:
    return Client().get(f"{PAGE}{query}", headers=_bearer(reads_metrics=True), **options)


def test_a_token_with_the_right_reads_the_gauges_as_prometheus_does() -> None:
    make_jobs(2, queue_name="mail", ready_at=ago(seconds=90))
    make_queue("mail", paused_at=ago(minutes=1))
    make_worker(concurrency=3)
    response = _get()
    assert response["Content-Type"].startswith("text/plain; version=")
    assert response["Cache-Control"] == "no-store"
    families = list(text_string_to_metric_families(response.content.decode()))
    samples = {(one.name, *sorted(one.labels.values())): one.value for family in families for one in family.samples}
    assert samples["django_jobs_jobs", "mail", "ready"] == 2
    assert samples["django_jobs_oldest_ready_seconds", "mail"] >= 90
    assert samples["django_jobs_queue_paused", "mail"] == 1
    assert (samples["django_jobs_workers",], samples["django_jobs_slots", "idle"]) == (1, 3)
    assert samples["django_jobs_database_up",] == 1
    assert {family.type for family in families} == {"gauge"}, "the counters are on the workers' pages"
    assert Token.objects.get().last_used_at is not None


def test_the_numbers_come_as_json_of_all_queues_or_of_one() -> None:
    make_jobs(4, queue_name="mail")
    make_job(State.RUNNING, queue_name="mail", worker=make_worker(concurrency=2))
    found = _get("?format=json").json()
    assert (found["workers"], found["slots"], found["queues_left_out"]) == (1, {"busy": 0, "idle": 2}, 0)
    mail = found["queues"]["mail"]
    assert (mail["ready"], mail["running"], mail["ready_or_running"], mail["paused"]) == (4, 1, 5, False)
    assert _get("?format=json&queue=mail").json().items() >= {"queue": "mail", "ready": 4}.items()
    empty = _get("?format=json&queue=reports").json()
    assert (empty["queue"], empty["ready_or_running"], empty["oldest_ready_seconds"]) == ("reports", 0, 0)


@pytest.mark.parametrize(
    ("headers", "status", "problem"),
    [({}, 401, "no-token"), ({"authorization": "Bearer djt_nonsense"}, 401, "wrong-token")],
)
def test_without_a_token_nothing_is_told(headers: dict[str, str], status: int, problem: str) -> None:
    response = Client().get(PAGE, headers=headers)
    assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (status, problem)


def test_a_token_that_may_only_enqueue_or_was_revoked_is_refused() -> None:
    response = Client().get(PAGE, headers=_bearer(job_names=[sample.add.name]))
    assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (403, "metrics-not-allowed")
    token, text = create_token("old", reads_metrics=True)
    revoke_token(token.key)
    assert Client().get(PAGE, headers={"authorization": f"Bearer {text}"}).status_code == 401
    enqueue = Client().post(f"/jobs/enqueue/{sample.add.name}/", headers=_bearer(reads_metrics=True))
    assert enqueue.status_code == 403, "the right to metrics allows no job"


@pytest.mark.parametrize(("permissions", "status"), [(("view_job",), 200), ((), 403)])
def test_staff_read_them_in_the_browser_if_they_may_view_jobs(
    client: Client, permissions: tuple[str, ...], status: int
) -> None:
    log_in(client, *permissions)
    assert client.get(PAGE).status_code == status


def test_a_customer_with_the_permission_is_no_staff(client: Client) -> None:
    user = log_in(client, "view_job")
    user.is_staff = False
    user.save()
    assert client.get(PAGE).status_code == 401


@pytest.mark.parametrize("query", ["?format=xml", "?format=", "?queue=", "?queue=%00", "?queue=a,b"])
def test_a_query_that_is_not_valid_is_refused(query: str) -> None:
    response = _get(query)
    assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (400, "wrong-query")


def test_without_the_client_json_is_answered_and_the_text_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setitem(sys.modules, "prometheus_client.core", None)
    assert _get("?format=json").status_code == 200
    response = _get()
    assert (response.status_code, "django-jobs-engine[prometheus]" in response.json()["detail"]) == (501, True)


def test_only_get_is_allowed() -> None:
    assert Client().post(PAGE).status_code == 405
