from __future__ import annotations

import logging

import pytest

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
