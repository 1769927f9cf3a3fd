"""The OpenAPI document fuzzed by schemathesis against a running server: every answer is one that it describes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.web.signing import sign_job_id
from django_jobs.web.tokens import create_token
from tests.databases import chosen_vendor
from tests.factories import make_job, make_letter
from tests.programs import environment_of_programs
from tests.required import is_missing
from tests.sampleapp import jobs as sample
from tests.serving import serving

SEED = os.environ.get("DJANGO_JOBS_TEST_SEED", "7")
EXAMPLES = "15"
PATIENCE_SECONDS = 100
# Not all JSON can be stored (keys with NUL, 30 levels), and a schema of "anything" cannot say so.
ANYTHING = f"""
[[operations]]
include-path = "/enqueue/{sample.echo.name}/"
checks.positive_data_acceptance.enabled = false
"""
WAITS_BRIEFLY = json.dumps({"STATUS": {"POLL_INTERVAL": 0.02, "MAX_WAIT": 0.1}})


@pytest.fixture(scope="module")
def address(django_db_setup: None) -> Iterator[str]:
    """Serve all tests of this file."""
    with serving("asgi", {**environment_of_programs(), "DJANGO_JOBS_TEST_OPTIONS": WAITS_BRIEFLY}) as address:
        yield address


@pytest.fixture
def server(address: str, transactional_db: None) -> str:
    return address


def _fuzz(server: str, *options: str, folder: Path, config: str = "") -> None:
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    if program is None:
        is_missing("schemathesis (pip install --group test)")
    settings = folder / "schemathesis.toml"
    settings.write_text(config)
    command = [program, "--config-file", str(settings), "run", f"{server}/jobs/openapi.json"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", SEED, *options]
    finished = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    said = re.sub(r"djt_\S+", "djt_...", finished.stdout + finished.stderr)
    assert finished.returncode == 0, said


def test_requests_with_a_token_are_answered_as_described(server: str, tmp_path: Path) -> None:
    names = [sample.add.name, sample.record.name, sample.echo.name, sample.named.name, "gone.job"]
    _, token = create_token("fuzzing", job_names=names)
    _fuzz(server, "--header", f"Authorization: Bearer {token}", folder=tmp_path, config=ANYTHING)
    enqueued = set(Job.objects.values_list("name", flat=True))
    assert enqueued == set(names) - {"gone.job"}


def test_requests_without_a_token_enqueue_nothing(server: str, tmp_path: Path) -> None:
    _fuzz(server, "--include-operation-id", "enqueue", folder=tmp_path)
    assert not Job.objects.exists()


@pytest.mark.skipif(chosen_vendor() != "sqlite", reason="the pages are the same on every database")
@pytest.mark.parametrize("state", [pytest.param(State.RUNNING, marks=pytest.mark.release), State.SUCCEEDED, State.DEAD])
def test_the_pages_of_a_job_answer_as_described(server: str, tmp_path: Path, state: State) -> None:
    job = make_job(state, progress_done=1, progress_message="first")
    if state is State.DEAD:
        make_letter(job)
    config = f'[parameters]\n"path.key" = "{sign_job_id(job.pk)}"\n'
    pages = ("--include-operation-id", "status", "--include-operation-id", "result")
    _fuzz(server, *pages, folder=tmp_path, config=config)
