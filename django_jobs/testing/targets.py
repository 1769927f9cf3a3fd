"""Jobs and queues as tests name them: a job by itself, a Task, a call or a name; queues by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..definition import JobCall, find_job
from ..exceptions import ConfigurationError
from ..registry import DefinedJob, TaskLike

EXAMPLE = "example.job"
"""The name of a job that is given none."""
JobLike = DefinedJob | JobCall | TaskLike | str
"""A job, a Task, a call such as ``send_welcome.s(7)``, or a job's name."""


def name_of(job: DefinedJob | TaskLike | str) -> str:
    """Return the name under which a job is stored."""
    if isinstance(job, str):
        return job
    name = job.name if isinstance(job, DefinedJob) else getattr(job, "module_path", None)
    if isinstance(name, str):
        return name
    raise ConfigurationError(f"expected a job, a call such as job.s(7), a Task or a name, got {job!r}")


def check_queues(label: str, queues: Sequence[str] | None) -> None:
    """Raise ConfigurationError unless ``queues`` are names in a list, tuple or set, or None for all.

    A text would be a list of letters, and of no queue nothing would ever run.
    """
    given: Any = queues
    is_list = isinstance(given, Sequence | set | frozenset) and not isinstance(given, str | bytes)
    if given is not None and not (is_list and given and all(isinstance(name, str) for name in given)):
        hint = f"; write [{given!r}]" if isinstance(given, str) else "; None: all queues" if is_list else ""
        raise ConfigurationError(f"{label}: expected a list of names of queues, got {given!r}{hint}")


def definition_of(job: JobLike) -> DefinedJob:
    """Return the job that is meant; of a name that this process does not know one that takes any arguments."""
    if isinstance(job, JobCall):
        return job.definition
    return job if isinstance(job, DefinedJob) else find_job(name_of(job), unknown="allow")
