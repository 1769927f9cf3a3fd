"""Copies of all matching succeeded jobs: confirmed with a number, made by a job, each once even if it is killed."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from django_jobs import builtin_jobs as engine_jobs
from django_jobs import bulk_steps
from django_jobs.builtin_jobs import replay_matching
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.store.bulk import take_step
from django_jobs.store.lifecycle.replay import replay
from django_jobs.testing import drain
from tests import factories

from ..staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

MAY = ("view_job", "view_job_arguments", "enqueue_job")


def _run(job: Job) -> Job:
    Job.objects.filter(pk=job.pk).update(queue_name="alone")
    drain(queues=["alone"])
    return job.refresh()


def _copies() -> list[int]:
    return sorted(
        metadata["copy_of"] for metadata in Job.objects.filter(state=State.READY).values_list("metadata", flat=True)
    )


def test_the_list_of_what_succeeded_offers_it_and_the_job_copies_each_once(client: Client) -> None:
    log_in(client, *MAY)
    done = [factories.make_job(State.SUCCEEDED, arguments={"x": number}) for number in range(3)]
    factories.make_job(State.CANCELLED)
    query = "?state=succeeded"
    assert url("job_replay") in client.get(url("job_changelist") + query).content.decode()
    assert "3 jobs match." in client.get(url("job_replay") + query).content.decode()
    response = client.post(url("job_replay") + query)
    job = Job.objects.get(name=replay_matching.name)
    assert response["Location"] == url("job_change", job.pk)
    later = factories.make_job(State.SUCCEEDED)
    assert (_run(job).state, job.result) == (State.SUCCEEDED, {"done": 3})
    assert _copies() == [row.pk for row in done]
    assert later.pk not in _copies()
    assert LogEntry.objects.count() == 1


def test_the_log_has_the_filter_without_what_was_searched_in_arguments(client: Client) -> None:
    log_in(client, *MAY)
    factories.make_job(State.SUCCEEDED, name="shop.pay", arguments={"card": 4711})
    client.post(url("job_replay") + "?state=succeeded&name=shop.pay&argument=card%3D4711")
    text = LogEntry.objects.get().change_message
    assert "shop.pay" in text
    assert "4711" not in text


def test_a_run_that_was_killed_goes_on_behind_what_it_has_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_jobs, "CHUNK_SIZE", 2)
    done = factories.make_jobs(5, State.SUCCEEDED)
    job = replay_matching.enqueue(jobs={"state": "succeeded"})
    steps: list[Any] = []

    def killed_after_two(*args: Any, **kwargs: Any) -> int | None:
        if len(steps) == 2:
            raise RuntimeError("killed")
        steps.append(take_step(*args, **kwargs))
        return steps[-1]

    with monkeypatch.context() as patch:
        patch.setattr(bulk_steps, "take_step", killed_after_two)
        assert _run(job).state == State.SCHEDULED
    assert len(_copies()) == 4
    Job.objects.filter(pk=job.pk).update(state=State.READY, ready_at=job.enqueued_at, run_after=None)
    assert _run(job).result == {"done": 5}
    assert _copies() == [row.pk for row in done]


def test_a_copy_of_a_job_of_many_steps_begins_at_the_beginning() -> None:
    done = factories.make_jobs(2, State.SUCCEEDED)
    job = _run(replay_matching.enqueue(jobs={"ids": f"{done[0].pk},{done[1].pk}"}))
    (copy_id,) = replay(job)
    assert _run(Job.objects.get(pk=copy_id)).result == {"done": 2}


def test_the_engines_own_jobs_are_not_copied() -> None:
    factories.make_job(State.SUCCEEDED, name="django_jobs.purge_matching")
    job = replay_matching.enqueue(jobs={"state": "succeeded"})
    assert _run(job).result == {"done": 0}


@pytest.mark.parametrize("missing", MAY)
def test_without_one_of_the_permissions_it_is_neither_offered_nor_done(client: Client, missing: str) -> None:
    log_in(client, *(row for row in MAY if row != missing))
    factories.make_job(State.SUCCEEDED)
    page = client.get(url("job_changelist") + "?state=succeeded").content.decode()
    assert url("job_replay") not in page
    assert client.post(url("job_replay") + "?state=succeeded").status_code == 403
    assert Job.objects.count() == 1


@pytest.mark.parametrize("query", ["", "?state=ready", "?state=nonsense"])
def test_only_what_succeeded_is_copied_by_filter(client: Client, query: str) -> None:
    log_in(client, *MAY)
    factories.make_job(State.READY)
    assert client.post(url("job_replay") + query).status_code == 302
    assert Job.objects.count() == 1
