"""A burst ends when there is nothing left to do, not when there was nothing left to claim."""

from __future__ import annotations

import pytest

from django_jobs.models import Job
from django_jobs.policy.states import State
from tests import factories
from tests.process.conftest import StartWorker
from tests.sampleapp import jobs as sample

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


def test_a_burst_goes_on_with_what_its_jobs_enqueue(start_worker: StartWorker) -> None:
    sample.enqueue_another.enqueue(3)

    assert start_worker("--burst").wait() == 0

    assert list(Job.objects.values_list("state", flat=True)) == ["succeeded"] * 4


def test_a_burst_goes_on_with_retries_that_are_due_at_once(start_worker: StartWorker) -> None:
    job = sample.fail.enqueue()

    assert start_worker("--burst").wait() == 0

    assert (job.refresh().state, job.attempt) == ("dead", 2)


def test_a_burst_leaves_nothing_behind_of_what_it_claimed(start_worker: StartWorker) -> None:
    sample.echo.enqueue_many([(number,) for number in range(40)])

    assert start_worker("--burst", "--concurrency", "8").wait() == 0

    assert set(Job.objects.values_list("state", flat=True)) == {"succeeded"}


def test_a_burst_runs_what_a_worker_with_older_code_holds(start_worker: StartWorker) -> None:
    held = factories.make_job(
        State.SCHEDULED, name=sample.do_nothing.name, run_after=factories.ago(hours=-1), unknown_since=factories.ago()
    )

    assert start_worker("--burst", UNKNOWN_JOB_RETRY_DELAY=7200).wait() == 0

    assert held.refresh().state == "succeeded"
