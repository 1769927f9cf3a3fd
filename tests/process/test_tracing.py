"""``opentelemetry-instrument`` traces real workers, and what they hold back is sent before their processes end."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from django_jobs.contrib.opentelemetry import DjangoJobsInstrumentor
from tests.contrib.opentelemetry.export import FILE
from tests.databases import ROOT
from tests.process.conftest import StartWorker
from tests.process.running import ended
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def spans(worker_environment: dict[str, str], tmp_path: Path) -> Path:
    """The file of the spans. The entry points are those of pyproject.toml, whatever is installed, and an exporter."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = tmp_path / "path" / f"{project['name'].replace('-', '_')}-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n")
    groups = project["entry-points"] | {
        "opentelemetry_traces_exporter": {"test": "tests.contrib.opentelemetry.export:FileExporter"}
    }
    (info / "entry_points.txt").write_text(
        "\n".join(f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in named.items()) for group, named in groups.items())
    )
    file = tmp_path / "spans"
    worker_environment |= {
        FILE: str(file),
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "path"), worker_environment["PYTHONPATH"]]),
        "OTEL_TRACES_EXPORTER": "test",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "600000",  # nothing is sent before the process ends
        "OTEL_PYTHON_DJANGO_INSTRUMENT": "false",
    }
    return file


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("options", [(), ("--pool", "processes")], ids=["threads", "job processes"])
def test_runs_are_linked_to_enqueues_of_another_process(
    start_worker: StartWorker, spans: Path, options: tuple[str, ...]
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    DjangoJobsInstrumentor().instrument(tracer_provider=provider)
    try:
        with provider.get_tracer("test").start_as_current_span("request") as request:
            jobs = [sample.enqueue_another.enqueue(1), sample.echo_async.enqueue()]
    finally:
        DjangoJobsInstrumentor().uninstrument()
    program = shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent))
    assert program is not None
    worker = start_worker(*options, "--burst", before=(program,))
    assert worker.wait() == 0, worker.output
    assert ended(*jobs) == ["succeeded"] * 2
    made = read(spans)
    runs = {span["attributes"]["messaging.message.id"]: span for span in made if span["kind"] == "SpanKind.CONSUMER"}
    trace_id = f"0x{request.get_span_context().trace_id:032x}"
    for job in jobs:
        (link,) = runs[str(job.pk)]["links"]
        assert link["context"]["trace_id"] == trace_id != runs[str(job.pk)]["context"]["trace_id"]
    (nested,) = [span for span in made if span["kind"] == "SpanKind.PRODUCER"]
    assert nested["parent_id"] == runs[str(jobs[0].pk)]["context"]["span_id"]
    (child,) = set(runs) - {str(job.pk) for job in jobs}
    assert runs[child]["links"][0]["context"]["span_id"] == nested["context"]["span_id"]
