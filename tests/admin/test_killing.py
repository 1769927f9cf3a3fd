"""Stopping a worker at once from the admin, for a job that does not end; what runs there and what is in hand."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from django_jobs.models import Job, Worker
from django_jobs.policy.activity import THREAD, Activity, ReportedRun
from django_jobs.policy.states import State
from tests import factories
from tests.admin.staff import INDEX, log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

MAY = ("view_job", "view_worker", "cancel_job", "kill_worker")


def _busy_worker() -> tuple[Worker, list[Job]]:
    """Return a worker of two threads that has begun two of its three jobs, the second first."""
    worker = factories.make_worker(hostname="web-1", concurrency=2)
    jobs = [factories.make_job(State.RUNNING, name=f"shop.{name}", worker=worker) for name in ("new", "loop", "hand")]
    runs = tuple(
        ReportedRun(job.pk, job.claim_number, factories.ago(minutes=age).timestamp(), THREAD)
        for job, age in zip(jobs, (1, 30), strict=False)
    )
    Worker.objects.update(activity=Activity(threads=2, async_capacity=100, claimed=3, runs=runs).as_json())
    return worker, jobs


def _get(client: Client, address: str) -> str:
    response = client.get(address, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def test_running_means_begun_and_the_longest_is_first(client: Client) -> None:
    worker, (new, loop, hand) = _busy_worker()
    log_in(client, "view_job", "view_worker")

    for page in (url("worker_changelist"), url("worker_change", worker.pk), INDEX):
        text = _get(client, page)
        assert "2 of 2 threads, 1 in hand" in text
        assert 0 < text.index(url("job_change", loop.pk)) < text.index(url("job_change", new.pk))
        assert url("job_change", hand.pk) not in text
    assert "In hand: claimed by web-1:1" in _get(client, url("job_change", hand.pk))
    assert "Running since" in _get(client, url("job_change", loop.pk))
    assert re.search(r"30 min \d+ s", _get(client, url("job_changelist")))


def test_a_job_in_a_thread_that_is_cancelled_says_what_works_and_leads_there(client: Client) -> None:
    worker, (new, loop, hand) = _busy_worker()
    user = log_in(client, *MAY)
    page = url("job_change", loop.pk)
    kill = url("worker_kill", worker.pk)
    assert "is not interrupted" not in _get(client, page)
    assert f"{kill}?job=" not in _get(client, url("job_change", hand.pk)), "it has not begun"

    answer = client.post(url("job_act", loop.pk, "cancel"), follow=True).content.decode()
    assert "A function in a thread is not interrupted" in answer
    assert f'href="{kill}?job={loop.pk}"' in answer
    asked = _get(client, f"{kill}?job={loop.pk}")
    assert "1 running job goes back to its queue" in asked
    assert f"shop.new #{new.pk}" in asked
    assert Worker.objects.get().kill_requested_at is None

    answer = client.post(kill, {"job": loop.pk}, follow=True)
    assert answer.redirect_chain[0][0] == page
    assert "Stop requested: the process ends at its next heartbeat" in answer.content.decode()
    assert "Its worker was asked to stop at once" in answer.content.decode()
    assert Worker.objects.get().kill_requested_by == user.username
    assert {(entry.content_type.model, entry.object_id) for entry in LogEntry.objects.all()} == {  # type: ignore[union-attr]
        ("job", str(loop.pk)),
        ("worker", str(worker.pk)),
    }
    assert "Nothing was changed" in client.post(kill, follow=True).content.decode()


def test_without_a_job_all_go_back(client: Client) -> None:
    worker, jobs = _busy_worker()
    log_in(client, *MAY)
    page = url("worker_change", worker.pk)
    assert f'href="{url("worker_kill", worker.pk)}"' in _get(client, page)

    assert "2 running jobs go back to their queues" in _get(client, url("worker_kill", worker.pk))
    assert client.post(url("worker_kill", worker.pk)).headers["Location"] == page

    assert not Job.objects.filter(cancel_requested_at__isnull=False).exists()
    text = _get(client, page)
    assert "stop requested" in text
    assert url("worker_kill", worker.pk) not in text
    assert len(jobs) == 3


def test_nothing_happens_if_the_job_has_left_the_worker(client: Client) -> None:
    worker, (_, loop, _) = _busy_worker()
    Job.objects.filter(pk=loop.pk).update(worker=factories.make_worker().pk)
    log_in(client, *MAY)

    for given in (loop.pk, "x", "9" * 40):
        answer = client.post(url("worker_kill", worker.pk), {"job": given}, follow=True).content.decode()
        assert "does not run under this worker any more" in answer
    assert "no longer exists" in _get(client, url("worker_kill", 987_654))
    assert not Worker.objects.filter(kill_requested_at__isnull=False).exists()


def test_it_takes_a_permission_of_its_own(client: Client) -> None:
    worker, (_, loop, _) = _busy_worker()
    log_in(client, "view_job", "view_worker", "cancel_job", "stop_worker")

    assert url("worker_kill", worker.pk) not in _get(client, url("job_change", loop.pk))
    assert url("worker_kill", worker.pk) not in _get(client, url("worker_change", worker.pk))
    assert client.get(url("worker_kill", worker.pk)).status_code == 403
    assert client.post(url("worker_kill", worker.pk)).status_code == 403
