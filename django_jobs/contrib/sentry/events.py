"""Events of jobs: the job as context, exceptions with the job's own frames, and no value that is to be masked."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import sentry_sdk
from sentry_sdk.scope import Scope, should_send_default_pii
from sentry_sdk.utils import event_from_exception

from ...context import JobContext
from ...redaction import redact_arguments
from .secrets import without

REPORTED = "__django_jobs_reported__"
"""The attribute of an exception that was reported from inside its run."""
_PACKAGE = str(Path(__file__).parents[2])
_CONTEXTLIB = "contextlib.py"


def describe_job(scope: Scope, context: JobContext, secrets: list[str] | None) -> None:
    """Have every event of a run tell of its job, without its secrets. None: nothing of it is to be masked."""
    scope.set_transaction_name(context.name, source="task")
    scope.set_tag("job", context.name)
    scope.set_tag("queue", context.queue_name)
    scope.add_event_processor(lambda event, hint: _process(event, context, secrets))


def capture_error(error: BaseException) -> None:
    """Report the exception of a run, from its first frame below the engine's; and have its log record not do so."""
    frames = _own_frames(error.__traceback__)
    client = sentry_sdk.get_client()
    event, hint = event_from_exception(
        (type(error), error, frames),
        client_options=client.options,
        mechanism={"type": "django_jobs", "handled": False},
    )
    sentry_sdk.capture_event(event, hint=hint)
    with suppress(Exception):  # a class may refuse attributes; then Sentry's own integration drops the second report
        BaseException.__setattr__(error, REPORTED, True)


def process_log_event(event: Any, hint: Any) -> Any:
    """Drop the event of the worker's record about an exception that was reported; let no other show values of jobs.

    Records of jobs that never ran, or died with their worker, become events: nothing else tells Sentry of these.
    """
    record = (hint or {}).get("log_record")
    if record is None or not record.name.startswith("django_jobs."):
        return event
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and getattr(error, REPORTED, False):
        return None
    _drop_variables(event)
    event.pop("breadcrumbs", None)  # of this thread: they are about other jobs
    return event


def _process(event: Any, context: JobContext, secrets: list[str] | None) -> Any:
    if secrets is not None:
        _drop_variables(event)
        event = without(event, secrets)
    event.setdefault("contexts", {})["job"] = _facts(context)
    return event


def _facts(context: JobContext) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "id": context.public_id,
        "name": context.name,
        "queue_name": context.queue_name,
        "priority": context.priority,
        "attempt": context.attempt,
        "max_attempts": context.max_attempts,
        "enqueued_at": context.enqueued_at.isoformat(),
    }
    if context.schedule_name is not None:
        facts["schedule"] = context.schedule_name
    if context.chunk:
        facts["jobs_in_chunk"] = len(context.chunk)
    elif _sends_arguments():
        facts["arguments"] = redact_arguments(context.name, json.loads(context.stored_arguments))
    return facts


def _sends_arguments() -> bool:
    """Tell whether the project sends personal data: by the option of newer SDKs, if that is given, or of older ones."""
    chosen = sentry_sdk.get_client().options.get("data_collection")
    if isinstance(chosen, dict) and chosen.get("provided_by_user"):
        return bool(chosen.get("queues"))
    return should_send_default_pii()


def _drop_variables(event: Any) -> None:
    """Remove the local variables of all frames: they hold arguments, and what was made of them."""
    for part in ("exception", "threads"):
        for value in (event.get(part) or {}).get("values") or ():
            for frame in (value.get("stacktrace") or {}).get("frames") or ():
                frame.pop("vars", None)


def _own_frames(frames: TracebackType | None) -> TracebackType | None:
    """Return the traceback without the frames of the engine that it begins with; all of it if there are no others."""
    first = frames
    while first is not None and _is_engine(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    return first or frames


def _is_engine(path: str) -> bool:
    return path.startswith(_PACKAGE) or path.endswith(_CONTEXTLIB)
