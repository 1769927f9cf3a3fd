"""A job's arguments as users may see them: secrets masked, and the results that are passed in as values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext

from ...arguments.serialization import fill_in_results, has_result_placeholders, replace_results
from ...exceptions import ResultNotPassedError, ResultUnreadableError
from ...models import Job
from ...redaction import redact_arguments, redact_for_job
from ...store.results.inputs import PredecessorResult, predecessor_results
from .labels import state_label

MAX_RESULTS = 50
"""Results of so many jobs are read for a page."""


def arguments_text(job: Job) -> str:
    """Return a job's arguments as indented JSON. Two more statements if results of other jobs are among them."""
    return json.dumps(shown_arguments(job), indent=2, ensure_ascii=False)


def shown_arguments(job: Job) -> Any:
    """Return a job's arguments as JSON, with results in place of their placeholders, or why there is none."""
    if not has_result_placeholders(job.arguments):
        return redact_arguments(job.name, job.arguments)
    results = predecessor_results(job.pk, limit=MAX_RESULTS + 1)
    if len(results) > MAX_RESULTS:
        text = gettext("(results of more than %(number)s jobs)") % {"number": MAX_RESULTS}
        return redact_arguments(job.name, replace_results(job.arguments, text))
    try:
        filled = fill_in_results(job.arguments, [_reader(result) for result in results])
    except ResultNotPassedError:  # the edge was deleted with the other job
        filled = replace_results(job.arguments, gettext("(result of a deleted job)"))
    return redact_arguments(job.name, filled)


def _reader(result: PredecessorResult) -> Callable[[], Any]:
    """Return a function that returns a predecessor's result, masked by that job's rules; a text if there is none."""

    def read() -> Any:
        if result.is_in_file:
            return gettext("(result of job %(id)s, in a file)") % {"id": result.job_id}
        try:
            return redact_for_job(result.name, result.read())
        except (ResultNotPassedError, ResultUnreadableError):
            state = gettext("deleted") if result.row is None else state_label(result.row[1])
            return gettext("(result of job %(id)s, which is %(state)s)") % {"id": result.job_id, "state": state}

    return read
