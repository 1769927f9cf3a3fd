"""Rows are found, changed and deleted by many ids in one condition; on MySQL and MariaDB by a named index."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_jobs.models import Job, JobLog
from django_jobs.models.job_log import CLAIM_INDEX
from django_jobs.store.dialects.shared.by_id import InIds, delete_rows
from tests.databases import chosen_vendor
from tests.factories import make_jobs

pytestmark = pytest.mark.django_db
on_mysql = pytest.mark.skipif(chosen_vendor() != "mysql", reason="only MySQL and MariaDB are told which index to use")


@pytest.fixture
def jobs():
    return make_jobs(4)


def wanted(jobs):
    return Job.objects.filter(InIds("pk", [job.pk for job in jobs[1:3]]))


def statement_of(act):
    with (
        CaptureQueriesContext(
            connection,
        ) as captured,
        transaction.atomic(),
    ):
        act()
    [statement] = [row["sql"] for row in captured if "django_jobs_" in row["sql"]]
    return statement


def test_only_rows_with_these_ids_are_found_and_changed_and_deleted(jobs):
    assert list(wanted(jobs).order_by("pk")) == jobs[1:3]
    assert wanted(jobs).count() == 2
    assert wanted(jobs).filter(queue_name="none").update(priority=7) == 0
    assert wanted(jobs).update(priority=7) == 2
    assert delete_rows(wanted(jobs).filter(priority=7).exclude(pk=jobs[1].pk)) == 1

    assert list(Job.objects.order_by("pk").values_list("pk", "priority")) == [
        (jobs[0].pk, 0),
        (jobs[1].pk, 7),
        (jobs[3].pk, 0),
    ]


def test_no_ids_are_no_rows(jobs):
    none = Job.objects.filter(InIds("pk", []))

    assert list(none) == []
    assert none.update(priority=7) == 0
    assert delete_rows(none) == 0


def test_a_second_condition_by_ids_narrows_the_first(jobs):
    both = wanted(jobs).filter(InIds("pk", [job.pk for job in jobs[2:]]))

    assert list(both) == [jobs[2]]
    assert delete_rows(both) == 1


@on_mysql
def test_a_select_that_locks_names_the_index_and_another_does_not(jobs):
    locking = statement_of(lambda: list(wanted(jobs).select_for_update()))
    reading = statement_of(lambda: list(wanted(jobs)))

    assert "FROM `django_jobs_job` FORCE INDEX (PRIMARY) WHERE" in locking
    assert "FORCE INDEX" not in reading


@on_mysql
def test_an_update_names_the_index(jobs):
    statement = statement_of(lambda: wanted(jobs).update(priority=7))

    assert statement.startswith("UPDATE `django_jobs_job` FORCE INDEX (PRIMARY) SET ")


@on_mysql
def test_a_delete_joins_the_ids_and_looks_them_up_in_the_index(jobs):
    logs = JobLog.objects.filter(InIds("job_id", [job.pk for job in jobs], index=CLAIM_INDEX), total=0)

    statement = statement_of(lambda: delete_rows(logs))

    assert statement.startswith("DELETE `django_jobs_joblog` FROM JSON_TABLE(")
    assert f"STRAIGHT_JOIN `django_jobs_joblog` FORCE INDEX ({CLAIM_INDEX}) WHERE" in statement
    assert "`django_jobs_joblog`.`job_id` = wanted.id" in statement


@on_mysql
def test_without_an_index_the_choice_is_the_databases(jobs):
    rows = Job.objects.filter(InIds("pk", [jobs[0].pk], index=None))

    assert "FORCE INDEX" not in statement_of(lambda: rows.update(priority=7))
