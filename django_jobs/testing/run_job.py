"""``run_job()``: one run of a call by the engine, without the queue."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async

from ..definition import JobCall
from ..enqueueing import encode_bound, new_job
from ..exceptions import ConfigurationError
from ..models import Job
from ..policy.flags import JobFlag
from ..store.dialects.base.jobs import NewJob
from ..store.lifecycle.one_run import delete_run, insert_running
from .engine import running_engine


def run_job(call: JobCall, /, *, attempt: int = 1) -> Any:
    """Run a call once, by the engine, and return its result: ``run_job(render_pdf.s(7), attempt=2)``.

    All is as in a worker: the arguments and the result go through JSON, ``current_job()`` has the options of the call
    and the attempt, ``atomic``, ``timeout`` and ``HOOKS`` apply, and the run's ``on_commit`` callbacks are called. What
    the function, a hook or a callback raises is raised, also ``Retry`` and ``Snooze``. Nothing is retried; limits,
    expiry and keys are ignored. Jobs that the function enqueues wait for ``drain()``; the call's own row is deleted
    after the run.

    Raises ConfigurationError for a call that waits for other jobs, and for an attempt that the job does not have.
    """
    if not isinstance(call, JobCall):
        raise TypeError(f"run_job: expected a call such as send_welcome.s(7), got {call!r}")
    new, arguments = _prepare(call, attempt)
    with running_engine() as engine:
        claim = insert_running(new, arguments, attempt=attempt, worker_id=engine.worker_id, using=engine.using)
        try:
            run = engine.run(claim)
            row = Job.objects.using(engine.using).filter(pk=claim.job_id).first()
            result = None if row is None else row.result
        finally:
            delete_run(claim.job_id, using=engine.using)
    errors = [run.raised, *run.errors]
    for error in errors:
        if error is not None:
            raise error
    return result


async def arun_job(call: JobCall, /, *, attempt: int = 1) -> Any:
    """Do what ``run_job`` does, in an async test."""
    return await sync_to_async(run_job)(call, attempt=attempt)


def _prepare(call: JobCall, attempt: int) -> tuple[NewJob, dict[str, Any]]:
    definition = call.definition
    if definition.waits_for:
        raise ConfigurationError(
            f"run_job: expected a call that waits for no others, got {definition.name}.after(...): enqueue it; drain()"
        )
    new = new_job(definition)._replace(
        run_after=None,
        delay_seconds=None,
        expires_at=None,
        expires_seconds=None,
        # As a job that its limits have admitted.
        flags=int(JobFlag.LIMITED) if definition.options.limits else 0,
    )
    if type(attempt) is not int or not 1 <= attempt <= new.max_attempts:
        raise ConfigurationError(
            f"run_job(attempt): expected 1 to {new.max_attempts}, the attempts of {definition.name}, got {attempt!r}"
        )
    return new, encode_bound(definition, definition.signature.bind(call.args, call.kwargs))
