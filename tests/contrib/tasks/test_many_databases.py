"""Results of Tasks whose jobs are in several databases: an id leads to the right one."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from django.test import override_settings

from django_jobs.conf.database import use_database
from django_jobs.contrib.tasks import as_job
from django_jobs.contrib.tasks.ids import find_job_id, job_id_of, result_id
from django_jobs.contrib.tasks.old_ids import QUEUE
from django_jobs.contrib.tasks.roots import Root
from django_jobs.management.worker_options import job_id
from django_jobs.models import Job
from django_jobs.policy.job_ids import JobId
from django_jobs.store.enqueue.foreign_ids import save_foreign_ids
from django_jobs.testing import drain

pytestmark = pytest.mark.usefixtures("eu_and_us")


def test_a_result_is_that_of_the_database_in_which_its_job_is(root: Root, tasks: ModuleType) -> None:
    in_eu, in_us = (tasks.add.using(database=alias).enqueue(number) for alias, number in (("eu", 1), ("us", 2)))
    with use_database("us"):
        drain()

    assert in_eu.pk == in_us.pk
    assert in_eu.id != in_us.id
    backend = tasks.add.get_backend()
    assert [backend.get_result(result.id).status.value for result in (in_eu, in_us)] == ["READY", "SUCCESSFUL"]
    in_us.refresh()
    assert in_us.return_value == 2
    assert job_id(in_us.id).database == "us"  # type: ignore[attr-defined]  # in a shell, too


def test_a_task_waits_for_a_result_in_its_database(root: Root, tasks: ModuleType) -> None:
    first = tasks.add.using(database="us").enqueue(1)

    waiting = tasks.add.after(first).enqueue(2)

    assert Job.objects.using("us").get(pk=waiting.pk).state == "blocked"
    other = tasks.add.using(database="eu").enqueue(1)
    with pytest.raises(Exception, match="expected jobs of one database, got some of 'us' and of 'eu'"):
        tasks.add.after(first, other)
    assert as_job(tasks.add).after(first).waits_in == "us"


def test_an_id_that_was_given_in_a_run_is_that_of_its_database(root: Root, tasks: ModuleType) -> None:
    result = tasks.look.using(database="eu").enqueue()
    with use_database("eu"):
        drain()

    assert [seen.id for seen in tasks.seen] == [result.id]
    assert tasks.look.get_backend().get_result(result.id).return_value[1] == result.id


def test_an_id_of_the_time_before_leads_to_the_first_and_others_stay_if_the_order_changes() -> None:
    with override_settings(DJANGO_JOBS={}):
        old = result_id(7)
    new = result_id(7, database="us")

    assert find_job_id(old) == JobId(None, 7)
    for order in (["default", "eu", "us"], ["us", "default"], ["us"]):
        with override_settings(DJANGO_JOBS={"DATABASES": order}):
            assert find_job_id(new) == JobId("us", 7)
    with override_settings(DJANGO_JOBS={"DATABASES": ["default", "eu"]}):
        assert job_id_of(new) is None


def test_an_id_of_django_tasks_db_is_looked_up_in_each(root: Root, tasks: ModuleType) -> None:
    result: Any = tasks.add.using(database="us").enqueue(1)
    foreign = "3f2c0a52-59a5-4c2b-9d27-0b7f5f0f6b11"
    save_foreign_ids(QUEUE, {foreign: Job.objects.using("us").get()}, using="us")

    assert tasks.add.get_backend().get_result(foreign).id == result.id
