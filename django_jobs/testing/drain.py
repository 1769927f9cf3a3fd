"""Run enqueued jobs in the calling thread, inside the test's transaction, until none is left."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, Unpack

from asgiref.sync import sync_to_async
from django.utils import timezone

from ..exceptions import ConfigurationError
from ..models import Job
from ..options import check_option_names
from ..policy.durations import Duration, read_duration
from ..worker.execution.classify import is_kind
from .clock import test_now
from .engine import running_engine
from .result import Drained
from .targets import check_queues

MAX_RUNS = 10_000


class DrainOptions(TypedDict, total=False):
    """The options of ``drain``."""

    queues: Sequence[str] | None
    run_scheduled: bool
    until: datetime | Duration | None
    raise_errors: bool
    max_runs: int


def drain(**options: Unpack[DrainOptions]) -> Drained:
    """Run ready and due jobs, and those they enqueue, until none is left; return how they ended.

    The real engine claims, runs and finishes, one job after another, in this thread and with this thread's connections.
    Waiting jobs of one ``Chunk`` are run in one call, without its wait.
    As in a worker, each job has a context of its own: language, time zone and context variables of the test do not
    reach it. In a transaction of the test each run has a savepoint: what it wrote stays, unless a database error broke
    the transaction. Its ``on_commit`` callbacks are called where a worker calls them, and never those of the test.
    Exceptions of jobs are saved and logged as a worker does, and listed in ``Drained.errors``.

    Due is what ``timezone.now()`` says: time that time-machine, freezegun or a patch has moved is the engine's, too.

    queues: run jobs of these queues only.
    run_scheduled: run delayed jobs and retries at once, too; once each if no code here knows the name.
    until: run also what falls due by then, retries included, in the order of the times: an aware datetime, or a
    timedelta or seconds from now. The engine's clock moves to each of the times, that of Python does not.
    raise_errors: raise the first of the errors, once its run is saved, and run no further job. What ends the test
    itself is raised in any case: Ctrl-C, ``pytest.fail()``, a timeout of pytest-timeout.
    max_runs: raise RuntimeError for more than so many runs (10,000), because a job then enqueues itself for ever.
    """
    check_options("drain", options)
    drained = Drained()
    drain_into(drained, **options)
    return drained


async def adrain(**options: Unpack[DrainOptions]) -> Drained:
    """Do what ``drain`` does, in an async test."""
    return await sync_to_async(drain)(**options)


def check_options(caller: str, options: DrainOptions) -> None:
    """Raise ConfigurationError for options that ``drain`` does not have, or not together."""
    check_option_names(caller, options, DrainOptions)
    check_queues(f"{caller}(queues)", options.get("queues"))
    max_runs = options.get("max_runs", MAX_RUNS)
    if type(max_runs) is not int or max_runs < 1:
        raise ConfigurationError(f"{caller}(max_runs): expected 1 or more, got {max_runs!r}")
    if options.get("run_scheduled") and options.get("until") is not None:
        raise ConfigurationError(f"{caller}: expected run_scheduled or until, got both")


def drain_into(
    drained: Drained,
    *,
    queues: Sequence[str] | None = None,
    run_scheduled: bool = False,
    until: datetime | Duration | None = None,
    raise_errors: bool = False,
    max_runs: int = MAX_RUNS,
) -> None:
    """Drain, and add the runs to ``drained``, also those before an error."""
    end = None if until is None else _read_until(until)
    stopped_by: BaseException | None = None
    with running_engine(queues=queues) as engine:
        while (claim := engine.claim(run_scheduled=run_scheduled, until=end)) is not None:
            if len(drained.job_ids) >= max_runs:
                raise RuntimeError(
                    f"drain() stopped after {max_runs} runs; the last was of {claim.name}. Does a job enqueue or"
                    " snooze itself for ever? For more runs give max_runs"
                )
            claims = engine.claim_chunk(claim, limit=max_runs - len(drained.job_ids))
            errors: list[BaseException] = []
            for one, run in zip(claims, engine.run_together(claims), strict=True):
                drained.add(one.job_id, run)
                errors += run.errors
            stopped_by = next((error for error in errors if raise_errors or _ends_test(error)), None)
            if stopped_by is not None:
                break
        found = Job.objects.using(engine.using).in_bulk(drained.job_ids)
    drained.jobs = [found[job_id] for job_id in drained.job_ids if job_id in found]
    if stopped_by is not None:
        raise stopped_by


def _ends_test(error: BaseException) -> bool:
    """Tell whether an error means the test, not the job: Ctrl-C, or what ``pytest.fail()`` raises."""
    return not is_kind(error, Exception, SystemExit, GeneratorExit, CancelledError)


def _read_until(until: datetime | Duration) -> datetime:
    if not isinstance(until, datetime):
        return test_now() + read_duration("drain(until)", until)
    if timezone.is_naive(until):
        raise ValueError(f"drain(until): expected an aware datetime, or a timedelta or seconds, got {until!r}")
    return until
