"""Rows of jobs and dead letters in any state, for tests of pages and reports: as if a worker had been there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction
from django.db.models import F

from .. import __version__, operations
from ..arguments.serialization import encode
from ..conf.database import current_database
from ..definition import JobCall
from ..exceptions import ConfigurationError
from ..models import Attempt, DeadLetter, Dependency, Job, JobLog
from ..policy.flags import JobFlag
from ..policy.hints import option_hint
from ..policy.outcomes import AttemptOutcome, DeathReason, Error
from ..policy.states import State
from ..store.clock import database_now
from ..store.workers import register_worker
from ..worker.execution.errors import describe_exception
from .targets import EXAMPLE, JobLike, definition_of

_KEYWORDS = ("state", "result", "error", "log", "waits_for")
_INSTANTS = ("enqueued_at", "ready_at", "started_at", "finished_at")
_INSTANTS_OF_STATE = {
    State.BLOCKED: (),
    State.SCHEDULED: (),
    State.READY: ("ready_at",),
    State.RUNNING: ("ready_at", "started_at"),
    State.SUCCEEDED: _INSTANTS[1:],
    State.DEAD: _INSTANTS[1:],
    State.CANCELLED: ("finished_at",),
}


class JobFactory:
    """Makes jobs in any state, with the attempts, dead letter and log that a job of this state has."""

    @classmethod
    def create(
        cls,
        job: JobLike | None = None,
        /,
        *,
        state: str = State.READY,
        result: Any = None,
        error: BaseException | None = None,
        log: Sequence[str] = (),
        waits_for: Sequence[Job] = (),
        **fields: Any,
    ) -> Job:
        """Insert a job and return it: ``JobFactory.create(send_welcome.s(7), state="dead", error=OSError("refused"))``.

        job: a job, a call, a Task or any name; queue, priority and number of attempts are those of its options.
        result: what the function of a succeeded job returned. error: the exception of its failed attempts.
        log: lines of its newest run. waits_for: what a blocked job waits for; default: a ready copy of it.
        fields: columns of ``Job``, such as ``attempt=2`` or ``finished_at=...``; instants that are not given are those
        behind them, or now. ``arguments`` and ``metadata`` are plain values, by name.

        A running job has a worker that has just started. In one transaction. Nothing is checked that the database does
        not check, no signal is sent and no worker is woken.
        """
        _check_given(error, log)
        _check_columns(state, fields)
        using, chosen = current_database(), State(state)
        values = _columns_of(job) | _instants(chosen, fields, database_now(using=using))
        values |= {
            "state": chosen.value,
            "attempt": _attempt(chosen, fields.get("max_attempts", values["max_attempts"])),
        }
        if result is not None:
            values["result_data"] = encode(result, what="result")
        for column in fields.keys() & {"arguments", "metadata"}:
            fields[column] = encode(fields[column], what=column)
        with transaction.atomic(using=using):
            if chosen is State.RUNNING and not {"worker", "worker_id"} & fields.keys():
                values["worker_id"] = _make_worker(using)
            values |= fields
            values.setdefault("claim_number", values["attempt"])
            row = Job(**values)
            models.Model.save(row, force_insert=True, using=using)
            _add_rows(row.refresh(), error or RuntimeError("it broke"), log, waits_for)
        return row.refresh()

    @classmethod
    def create_many(cls, number: int, job: JobLike | None = None, /, **given: Any) -> list[Job]:
        """Insert so many jobs of the same kind, and return them."""
        return [cls.create(job, **given) for _ in range(number)]


class DeadLetterFactory:
    """Makes dead letters: each of a dead job of its own, with its attempts. Equal errors of a job are one group."""

    @classmethod
    def create(
        cls,
        job: JobLike | None = None,
        /,
        *,
        status: str = DeadLetter.Status.OPEN,
        error: BaseException | None = None,
        by: str = "",
        note: str = "",
        **fields: Any,
    ) -> DeadLetter:
        """Insert a dead job and return its dead letter.

        status: ``open``, or what staff did to it: ``redriven`` (its job is ready again), ``purged`` or ``resolved``.
        by: who did it. note: what was written. The others are those of ``JobFactory.create``; it died at
        ``finished_at``.
        """
        chosen = DeadLetter.Status(status)
        made = JobFactory.create(job, state=State.DEAD, error=error, **fields)
        dead_letter = DeadLetter.objects.get(job=made)
        if note:
            operations.set_dead_letter_note(dead_letter.pk, note=note)
        match chosen:
            case DeadLetter.Status.REDRIVEN:
                operations.redrive(dead_letter, by=by)
            case DeadLetter.Status.PURGED:
                operations.purge(dead_letter, by=by)
            case DeadLetter.Status.RESOLVED:
                operations.resolve(dead_letter, by=by)
        dead_letter.refresh_from_db()
        return dead_letter

    @classmethod
    def create_many(cls, number: int, job: JobLike | None = None, /, **given: Any) -> list[DeadLetter]:
        """Insert so many dead letters of one group, and return them."""
        return [cls.create(job, **given) for _ in range(number)]


def _check_columns(state: object, fields: Iterable[str]) -> None:
    if state not in list(State):
        raise ConfigurationError(f"JobFactory(state): expected one of {', '.join(State)}; got {state!r}")
    for name in fields:
        if not hasattr(Job, name):
            known = [*(field.name for field in Job._meta.concrete_fields), *_KEYWORDS]
            hint = option_hint(name, known, elsewhere={})
            raise ConfigurationError(f"JobFactory: expected columns of Job, got {name}{hint and f'; {hint}'}")


def _check_given(error: object, log: object) -> None:
    if error is not None and not isinstance(error, BaseException):
        raise ConfigurationError(f"JobFactory(error): expected an exception, got {error!r}")
    if isinstance(log, str):
        raise ConfigurationError(f"JobFactory(log): expected a list of lines, got {log!r}")


def _columns_of(job: JobLike | None) -> dict[str, Any]:
    """Return the columns of a job that do not depend on its state."""
    definition, arguments = definition_of(EXAMPLE if job is None else job), {}
    if isinstance(job, JobCall):
        bound = job.definition.signature.bind(job.args, job.kwargs)
        arguments = {name: encode(value, what=f"argument {name!r}") for name, value in bound.items()}
    options, given = definition.options, definition.enqueue_options
    queue_name = given.get("queue_name") or options.resolve("queue_name")
    columns = {
        "name": definition.name,
        "arguments": arguments,
        "queue_name": queue_name,
        "priority": options.resolve("priority", queue_name),
        "max_attempts": options.resolve("max_attempts", queue_name),
        "metadata": {},
    }
    using = {name: encode(value, what=name) for name, value in given.items() if name in columns and value is not None}
    return columns | using


def _instants(state: State, fields: dict[str, Any], now: datetime) -> dict[str, datetime]:
    """Return the instants that a job of this state has: each as given, or the one behind it, or now."""
    found: dict[str, datetime] = {}
    behind = now
    for name in reversed(_INSTANTS):
        if name in fields:
            behind = fields[name] or behind
        if name == "enqueued_at" or name in _INSTANTS_OF_STATE[state]:
            found[name] = behind
    if state is State.SCHEDULED:
        found["run_after"] = now + timedelta(hours=1)
    return found


def _attempt(state: State, max_attempts: int) -> int:
    """Return the number of attempts that a job of this state has used."""
    match state:
        case State.RUNNING | State.SUCCEEDED:
            return 1
        case State.DEAD:
            return max_attempts
    return 0


def _make_worker(using: str) -> int:
    return register_worker(
        hostname=socket.gethostname(), pid=os.getpid(), queues=None, concurrency=1, version=__version__, using=using
    )


def _add_rows(job: Job, error: BaseException, log: Sequence[str], waits_for: Sequence[Job]) -> None:
    """Add what a worker has written about a job, and what a blocked one waits for."""
    using, state = job._state.db, State(job.state)
    described = describe_exception(error, job_name=job.name)
    finished_at = job.finished_at or job.started_at or job.enqueued_at
    ended = job.attempt - 1 if state is State.RUNNING else job.attempt
    attempts = []
    for number in range(1, ended + 1):
        has_succeeded = state is State.SUCCEEDED and number == ended
        failure = {} if has_succeeded else _error_columns(described)
        outcome = AttemptOutcome.SUCCEEDED if has_succeeded else AttemptOutcome.FAILED
        attempts.append(
            Attempt(
                job=job, number=number, claim_number=number, worker_id=job.worker_id, outcome=outcome.value,
                ready_at=job.ready_at or job.enqueued_at, started_at=job.started_at or finished_at,
                finished_at=finished_at, **failure,
            )
        )  # fmt: skip
    Attempt.objects.using(using).bulk_create(attempts)
    if state is State.DEAD:
        _add_dead_letter(job, described, finished_at)
    if log:
        lines = [[finished_at.timestamp(), "INFO", "", line] for line in log]
        JobLog.objects.using(using).create(
            job=job, claim_number=job.claim_number, data=lines, head=len(lines), total=len(lines)
        )
    if state is State.BLOCKED:
        _add_dependencies(job, waits_for or [_make_predecessor(job)])


def _error_columns(error: Error) -> dict[str, str]:
    return {"error_class": error.error_class, "error_message": error.message, "traceback": error.traceback}


def _add_dead_letter(job: Job, error: Error, died_at: datetime) -> None:
    reason = DeathReason.ATTEMPTS_USED_UP if job.attempt >= job.max_attempts else DeathReason.NOT_RETRYABLE
    DeadLetter.objects.using(job._state.db).create(
        job=job,
        job_name=job.name,
        queue_name=job.queue_name,
        reason=reason.value,
        attempt=job.attempt,
        fingerprint=error.fingerprint,
        died_at=died_at,
        **_error_columns(error),
    )


def _make_predecessor(job: Job) -> Job:
    """Insert a ready job with the same name and arguments."""
    predecessor = JobFactory.create(job.name)
    Job.objects.using(job._state.db).filter(pk=predecessor.pk).update(arguments=job.arguments)
    return predecessor


def _add_dependencies(job: Job, predecessors: Sequence[Job]) -> None:
    using = job._state.db
    jobs = Job.objects.using(using)
    for position, predecessor in enumerate(predecessors):
        Dependency.objects.using(using).create(job=job, predecessor=predecessor, position=position)
        jobs.filter(pk=predecessor.pk).update(flags=F("flags").bitor(JobFlag.HAS_DEPENDENTS))
