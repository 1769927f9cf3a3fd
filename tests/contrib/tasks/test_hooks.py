"""Hooks know Tasks as they know jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from django_jobs import current_job
from django_jobs.context import JobContext
from django_jobs.hooks import DefinedJob
from django_jobs.models import Job
from django_jobs.testing import drain

pytestmark = pytest.mark.django_db

seen: list[Any] = []


class Trace:
    def on_enqueue(self, definition: DefinedJob) -> dict[str, Any]:
        return {"trace": definition.name}

    @contextmanager
    def around(self, context: JobContext) -> Iterator[None]:
        assert current_job() is context
        seen.append(context.metadata["trace"])
        try:
            yield
        except BaseException as error:
            seen.append(type(error))
            raise


def test_hooks_know_tasks(tasks: ModuleType, settings: Any) -> None:
    settings.DJANGO_JOBS = {"HOOKS": [f"{__name__}.Trace"]}
    seen.clear()
    result = tasks.add.enqueue(1, other=2)
    drain()
    result.refresh()
    assert result.return_value == 3
    assert seen == [Job.objects.get().name]
