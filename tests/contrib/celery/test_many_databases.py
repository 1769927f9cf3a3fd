"""Results of Celery's tasks whose jobs are in several databases."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from django_jobs.conf.database import use_database
from django_jobs.contrib.celery import Celery
from django_jobs.contrib.celery.result import AsyncResult
from django_jobs.models import Job
from django_jobs.testing import drain

pytestmark = pytest.mark.usefixtures("eu_and_us")


@pytest.fixture
def double() -> Any:
    """A task that returns its id too."""

    @Celery("shop").task(bind=True, name="many.double")
    def double(self: Any, number: int) -> list[Any]:
        return [2 * number, self.request.id]

    return double


def test_a_result_is_that_of_the_database_in_which_its_job_is(double: Any) -> None:
    jobs = {alias: double.job.using(database=alias).enqueue(number) for number, alias in enumerate(("eu", "us"))}
    with use_database("us"):
        drain()

    results = {alias: AsyncResult(AsyncResult.of(enqueued).id) for alias, enqueued in jobs.items()}
    assert jobs["eu"].pk == jobs["us"].pk
    assert [result.state for result in results.values()] == ["PENDING", "SUCCESS"]
    assert results["us"].get() == [2, results["us"].id]
    results["eu"].revoke()
    assert Job.objects.using("eu").get().state == "cancelled"


@pytest.mark.parametrize("alias", ["default", "us"])
def test_on_commit_waits_for_the_transaction_at_hand_and_enqueues_there(double: Any, alias: str) -> None:
    with transaction.atomic(using=alias):
        double.delay_on_commit(1)
        assert not Job.objects.using(alias).exists()
    with transaction.atomic(using=alias):
        double.delay_on_commit(2)
        transaction.set_rollback(True, using=alias)

    assert [found.arguments for found in Job.objects.using(alias).all()] == [{"number": 1}]
