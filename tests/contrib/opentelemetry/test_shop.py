"""The shop writes its traces to a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from django_jobs.contrib.opentelemetry import DjangoJobsInstrumentor
from django_jobs.testing import drain
from testproject.shop.tracing import trace_to
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db


def test_a_run_is_a_line_that_names_its_enqueue(tmp_path: Path) -> None:
    file = trace_to(tmp_path / "traces")
    try:
        sample.echo.enqueue(1)
        drain()
    finally:
        DjangoJobsInstrumentor().uninstrument()
        file.close()
    enqueue, process = map(json.loads, (tmp_path / "traces").read_text().splitlines())
    assert (enqueue["name"], process["name"]) == ("enqueue default", "process default")
    assert process["links"][0]["context"]["span_id"] == enqueue["context"]["span_id"]
