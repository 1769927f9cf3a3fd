"""A worker works, and is seen to, whatever becomes of what only pages show."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

from django_jobs.models import Deploy
from django_jobs.store.deploys import record_deploy
from django_jobs.testing import working
from django_jobs.worker.duties import heartbeat
from tests.concurrency import wait_until
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)


@override_settings(DJANGO_JOBS={"RELEASE": "77aa01", "WORKER": {"HEARTBEAT_INTERVAL": 0.1}})
def test_a_deploy_that_cannot_be_recorded_costs_no_worker_its_start_and_is_recorded_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = {"is_broken": True}

    def record(release: str, **options: Any) -> bool:
        if broken["is_broken"]:
            with connections[options["using"]].cursor() as cursor:
                cursor.execute("SELECT * FROM no_such_table")
        return record_deploy(release, **options)

    monkeypatch.setattr(heartbeat, "record_deploy", record)
    with working(queues=["default"]):
        assert sample.add.enqueue(1, 2).wait(20).state == "succeeded"
        assert not Deploy.objects.exists()
        broken["is_broken"] = False
        wait_until(lambda: Deploy.objects.filter(release="77aa01").exists(), "the next heartbeat to record it")
    warnings = [record for record in caplog.records if "could not be recorded as a deploy" in record.message]
    assert [record.levelname for record in warnings if record.levelno > 10] == ["WARNING"]
