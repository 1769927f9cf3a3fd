"""Hooks are entered where the function runs, in each executor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from django_jobs.worker.options import PROCESSES
from tests.misbehaving import forking
from tests.sampleapp import jobs as sample

from .running import run_in_turn

pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = {"HOOKS": ["tests.sampleapp.hooks.Trace"]}


@pytest.mark.parametrize("definition", [sample.echo, sample.echo_async], ids=["thread", "event loop"])
def test_hooks_surround_runs_in_the_worker_process(settings: Any, tmp_path: Path, definition: Any) -> None:
    settings.DJANGO_JOBS = SETTINGS
    trace = tmp_path / "trace"
    (job,) = run_in_turn(definition.using(metadata={"trace": str(trace)}).enqueue("done"))
    assert job.result == "done"
    assert trace.read_text().splitlines() == [f"begin {os.getpid()}", f"end {os.getpid()}"]


def test_hooks_surround_runs_in_a_job_process_and_no_copy_of_it_leaves_them(
    worker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in worker_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DJANGO_JOBS_TEST_OPTIONS", '{"HOOKS": ["tests.sampleapp.hooks.Trace"]}')
    definitions: list[Any] = [forking.fork_and_return, forking.fork_and_return_async]
    jobs = [
        definition.using(metadata={"trace": str(tmp_path / f"trace{number}")}).enqueue(str(tmp_path / str(number)))
        for number, definition in enumerate(definitions)
    ]
    assert [job.result for job in run_in_turn(*jobs, pool=PROCESSES)] == [0, 0]
    for number in range(2):
        begin, end = (tmp_path / f"trace{number}").read_text().splitlines()
        assert begin.partition(" ")[2] == end.partition(" ")[2] != str(os.getpid())
