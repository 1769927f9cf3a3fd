"""Hooks and receivers for workers that tests start, which leave their traces in files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django_jobs import JobDefinition
from django_jobs.context import JobContext


class Stamp:
    """Say in the metadata which job it was asked for."""

    def on_enqueue(self, definition: JobDefinition[..., Any]) -> dict[str, Any]:
        return {"stamp": definition.name}


class Trace:
    """Append the process id to the file that the job's metadata names: at the begin of a run, and at its end."""

    @contextmanager
    def around(self, context: JobContext) -> Iterator[None]:
        path = Path(context.metadata["trace"])
        _append(path, f"begin {os.getpid()}")
        try:
            yield
        finally:
            _append(path, f"end {os.getpid()}")


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"{line}\n")
