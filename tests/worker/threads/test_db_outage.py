from __future__ import annotations

import logging

import pytest
from django.db import OperationalError

from django_jobs.store.readiness import UnappliedMigrationsError
from django_jobs.worker.threads.db_outage import DatabaseOutage


def test_an_outage_of_several_loops_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    outage = DatabaseOutage()
    with caplog.at_level(logging.INFO, "django_jobs"):
        outage.begins("heartbeat", OSError("gone"))
        outage.begins("claimer", OSError("gone"))
        outage.ends("heartbeat")
        outage.begins("heartbeat", OSError("gone again"))
        outage.ends("claimer")
        assert len(caplog.records) == 1, "the heartbeat is still cut off"
        outage.ends("heartbeat")
        outage.ends("doorbell")
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("the database failed the heartbeat;")
    assert said[1].startswith("the database answers again, after 0.")
    assert len(said) == 2


def test_the_next_outage_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    outage = DatabaseOutage()
    for _ in range(2):
        outage.begins("claimer", OSError("gone"))
        outage.ends("claimer")
    assert sum("the database failed the claimer" in line for line in caplog.messages) == 2


def test_an_outage_in_which_a_loop_ends_is_not_said_to_be_over(caplog: pytest.LogCaptureFixture) -> None:
    outage = DatabaseOutage()
    with caplog.at_level(logging.INFO, "django_jobs"):
        outage.begins("heartbeat", OperationalError("gone"))
        outage.ends("heartbeat", recovered=False)
    assert len(caplog.messages) == 1


def test_missing_tables_are_no_outage_and_are_told_after_one_too(caplog: pytest.LogCaptureFixture) -> None:
    outage = DatabaseOutage()
    with caplog.at_level(logging.INFO, "django_jobs"):
        for _ in range(3):
            outage.begins("heartbeat", OperationalError("gone"))
        for _ in range(3):
            outage.begins("heartbeat", UnappliedMigrationsError("not applied: django_jobs.0007_more"))
        outage.ends("heartbeat")
        outage.begins("heartbeat", OperationalError("gone"))
        outage.ends("heartbeat")
    first, second, third, fourth, fifth = caplog.messages
    assert first.startswith("the database failed the heartbeat;")
    assert "(not applied: django_jobs.0007_more); run 'manage.py migrate'; retrying until that is done" in second
    assert third.startswith("the database is migrated, after 0.")
    assert fourth == first
    assert fifth.startswith("the database answers again, after 0.")
