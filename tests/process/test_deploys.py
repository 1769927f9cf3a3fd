"""Real workers of two releases: side by side, one after the other, and back."""

from __future__ import annotations

import re
from io import StringIO

from django.core.management import call_command

from django_jobs.models import Deploy, Worker
from tests.concurrency import wait_until
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import RunningWorker, ended


def _releases() -> list[str]:
    return list(Deploy.objects.order_by("number").values_list("release", flat=True))


def _running(release: str) -> list[int]:
    return list(Worker.objects.filter(release=release, state="running").values_list("pk", flat=True))


def _start(start_worker: StartWorker, release: str, *options: str) -> RunningWorker:
    worker = start_worker(*options, settings={"RELEASE": release})
    worker.wait_for_line("ready: jobs are taken")
    return worker


def test_a_rolling_deploy_and_the_way_back(start_worker: StartWorker) -> None:
    old = _start(start_worker, "4f2c1a", "--max-jobs", "1", "--concurrency", "1")
    old.wait_for_line(r"release    4f2c1a")
    (first,) = _running("4f2c1a")
    new = _start(start_worker, "77aa01", "--queues", "documents")
    assert _releases() == ["4f2c1a", "77aa01"]

    assert ended(sample.fail.using(queue_name="documents").enqueue("it broke")) == ["dead"]
    out = StringIO()
    call_command("jobs", "status", stdout=out)
    assert re.search(r"Since 77aa01 at .* RuntimeError of \S+\.fail is new", out.getvalue())
    assert ended(sample.add.enqueue(1, 2)) == ["succeeded"]
    wait_until(lambda: _running("4f2c1a") not in ([], [first]), "the old process to be replaced")
    assert old.stop() == 0
    assert _releases() == ["4f2c1a", "77aa01"], "the old command's new process is no deploy"
    again = _start(start_worker, "4f2c1a", "--queues", "documents")
    assert _releases() == ["4f2c1a", "77aa01", "4f2c1a"]
    assert [new.stop(), again.stop()] == [0, 0]


def test_a_function_that_fails_costs_no_worker_its_start(start_worker: StartWorker) -> None:
    job = sample.add.enqueue(1, 2)
    worker = start_worker("--burst", settings={"RELEASE": "tests.sampleapp.nowhere.find_release"})
    assert worker.wait() == 0
    assert job.refresh().state == "succeeded"
    assert worker.output.count("expected the dotted path of a function") == 1
    assert (Worker.objects.get().release, _releases()) == ("", [])
