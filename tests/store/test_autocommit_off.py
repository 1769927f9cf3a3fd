"""Enqueues of a project that begins and ends transactions itself, with autocommit off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from django_jobs import signals
from django_jobs.models import Job
from tests.sampleapp.jobs import echo

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _autocommit_off() -> Iterator[None]:
    connection.set_autocommit(False)
    yield
    connection.rollback()
    connection.set_autocommit(True)


@pytest.mark.usefixtures("_autocommit_off")
def test_jobs_are_enqueued_in_the_callers_transaction_and_announced_once_autocommit_is_on_again() -> None:
    announced: list[int] = []

    def receive(job: Job, **_: object) -> None:
        announced.append(job.pk)

    signals.job_enqueued.connect(receive)
    try:
        echo.enqueue("undone")
        echo.enqueue_many([("undone",)] * 2)
        connection.rollback()
        assert not Job.objects.exists()

        jobs = [echo.enqueue("kept"), *echo.enqueue_many([("kept",)] * 2)]
        connection.commit()
        assert announced == []
        connection.set_autocommit(True)
    finally:
        signals.job_enqueued.disconnect(receive)
    assert announced == [job.pk for job in jobs]
    assert Job.objects.count() == 3
