"""Rows of the models as plain dicts for JSON, and as text for a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from .. import operations
from ..conf.database import public_id
from ..exceptions import JobsError
from ..models import CronSchedule, EnqueueKey, Job, JobLog, Tick, Worker
from ..policy.cron_words import describe_cron
from ..policy.forecast import Forecast
from ..policy.health_sentence import Sentence
from ..policy.printable import printable, printable_json
from ..policy.uniqueness import KeyKind
from ..reasons import render_forecast, render_reason
from ..redaction import redact_arguments, redact_job_value
from ..store.deploys import DeployedRelease
from ..store.logs import logs_of
from ..store.stats.counts import QueueStats

JOB_COLUMNS = ("id", "state", "name", "queue_name", "priority", "attempt", "max_attempts", "enqueued_at")


def job_row(job: Job) -> dict[str, Any]:
    """Return the job's columns; times are ISO 8601 in UTC, secrets are redacted."""
    return {
        "id": job.public_id,
        "name": job.name,
        "queue_name": job.queue_name,
        "priority": job.priority,
        "state": job.state,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "arguments": redact_arguments(job.name, job.arguments),
        "metadata": redact_job_value(job, job.metadata),
        "enqueued_at": _iso(job.enqueued_at),
        "run_after": _iso(job.run_after),
        "ready_at": _iso(job.ready_at),
        "started_at": _iso(job.started_at),
        "finished_at": _iso(job.finished_at),
        "progress": None
        if job.progress_done is None
        else {"done": job.progress_done, "total": job.progress_total, "message": job.progress_message},
        "result": _result(job),
    }


def expiry_row(job: Job) -> dict[str, Any]:
    """Return the job's expiry, and when it was cancelled because of it; None each if there is none."""
    return {"expires_at": _iso(job.expires_at), "expired_at": _iso(job.expired_at)}


def _result(job: Job) -> Any:
    try:
        return redact_job_value(job, job.result_data if job.is_result_lost else job.result_json)
    except JobsError as error:
        return str(error)


def reason_text(job: Job) -> str | None:
    """Return one sentence on why the job does not run, or where it runs; None if it has ended."""
    reason = operations.why_not_running(job)
    return None if reason is None else render_reason(reason, instant=lambda instant: f"{instant:%Y-%m-%d %H:%M:%S} UTC")


def attempt_rows(job: Job) -> list[dict[str, Any]]:
    """Return the job's finished attempts, oldest first. Two statements."""
    logs = logs_of(job.pk, using=job._state.db)
    return [
        {
            "number": attempt.number,
            "outcome": attempt.outcome,
            "worker": attempt.worker_id,
            "started_at": _iso(attempt.started_at),
            "finished_at": _iso(attempt.finished_at),
            "error_class": attempt.error_class,
            "error_message": attempt.error_message,
            "traceback": attempt.traceback,
            "log": log_row(logs.get(attempt.claim_number)),
        }
        for attempt in job.attempts
    ]


def log_row(log: JobLog | None) -> dict[str, Any] | None:
    """Return the log of a run, None if empty; the ``omitted`` lines belong after the first ``head``."""
    if log is None:
        return None
    lines = [
        {"at": _iso(line.at), "level": line.level, "logger": line.logger, "message": line.message} for line in log.lines
    ]
    return {"lines": lines, "head": log.head, "omitted": log.omitted}


def key_row(key: EnqueueKey) -> dict[str, Any]:
    """Return a key that the job holds; ``until`` is None if it holds it as long as it waits."""
    return {
        "kind": key.kind,
        "key": key.key,
        "since": _iso(key.acquired_at),
        "until": None if key.kind == KeyKind.UNIQUE else _iso(key.expires_at),
    }


def queue_row(queue: QueueStats, forecast: Forecast, *, now: datetime) -> dict[str, Any]:
    """Return one queue's counts by state, the ``ready_at`` of its oldest ready job, and whether it keeps up."""
    return {
        "name": queue.name,
        "paused": queue.paused_at is not None,
        "oldest_ready_at": _iso(queue.oldest_ready_at),
        "forecast": {
            "trend": forecast.trend.value,
            "empty_at": _iso(forecast.empty_at),
            "growing_per_minute": forecast.per_minute,
            "text": forecast_text(forecast, now=now),
        },
        **{state.value: number for state, number in queue.jobs.items()},
    }


def forecast_text(forecast: Forecast, *, now: datetime) -> str:
    """Return what becomes of the jobs that wait; an instant of another day with its date."""

    def instant(value: datetime) -> str:
        return f"{value:%H:%M} UTC" if value.date() == now.date() else f"{value:%Y-%m-%d %H:%M} UTC"

    return render_forecast(forecast, instant=instant, number="{:,.10g}".format, with_number=False)


SCHEDULE_COLUMNS = (
    "name",
    "status",
    "when",
    "timezone",
    "job_name",
    "next_due_at",
    "last_due_at",
    "last_outcome",
)


def schedule_row(schedule: CronSchedule, last: Tick | None) -> dict[str, Any]:
    """Return one schedule and its newest tick; times are ISO 8601 in UTC."""
    return {
        "name": schedule.name,
        "status": schedule.status,
        "when": schedule.cron or f"every {schedule.every}",
        "meaning": describe_cron(schedule.cron, every=schedule.every),
        "timezone": schedule.timezone,
        "job_name": schedule.job_name,
        "arguments": redact_arguments(schedule.job_name, schedule.arguments),
        "overlap": schedule.overlap,
        "catch_up": schedule.catch_up,
        "from_code": schedule.is_from_code,
        "project": schedule.project,
        "problem": schedule.problem or None,
        "next_due_at": _iso(schedule.next_due_at),
        "last_due_at": _iso(last.due_at) if last else None,
        "last_outcome": last.outcome if last else None,
        "last_reason": (last.reason or None) if last else None,
        "last_job": _job_of(last) if last else None,
    }


def _job_of(tick: Tick) -> int | str | None:
    return None if tick.job_id is None else public_id(tick.job_id, database=tick._state.db)


def worker_row(worker: Worker) -> dict[str, Any]:
    """Return one worker process."""
    return {
        "id": public_id(worker.pk, database=worker._state.db),
        "hostname": worker.hostname,
        "pid": worker.pid,
        "release": worker.release or None,
        "state": worker.state,
        "queues": worker.queues,
        "concurrency": worker.concurrency,
        "heartbeat_at": _iso(worker.heartbeat_at),
        "memory_bytes": worker.memory_bytes,
    }


def sentence_row(sentence: Sentence) -> dict[str, Any]:
    """Return a sentence of health with its ``key``, which stays the same, and its severity."""
    return {"key": sentence.key, "severity": sentence.severity.value, "text": sentence_text(sentence)}


def sentence_text(sentence: Sentence) -> str:
    """Return a sentence of health in English."""
    return sentence.render(
        translate=lambda text: text.singular if text.number == 1 else text.plural, format_duration=duration_text
    )


def duration_text(duration: timedelta) -> str:
    """Return a duration in its largest units, such as "3 min 5 s"."""
    seconds = max(duration.total_seconds(), 0.0)
    for size, unit, rest, rest_unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} {seconds % size // rest:.0f} {rest_unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def deploy_row(deploy: DeployedRelease) -> dict[str, Any]:
    """Return one deploy; ``last_seen_at``: when a worker with the release last started."""
    return {
        "project": deploy.project,
        "release": deploy.release,
        "first_seen_at": _iso(deploy.first_seen_at),
        "last_seen_at": _iso(deploy.last_seen_at),
    }


def as_json(value: object) -> str:
    """Return ``value`` as indented JSON that a terminal shows as it is."""
    return printable_json(json.dumps(value, indent=2, ensure_ascii=False))


def as_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return the named columns of ``rows`` as aligned text with a heading."""
    cells = [[column.replace("_", " ") for column in columns]]
    cells += [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[at]) for line in cells) for at in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def as_lines(row: Mapping[str, Any]) -> str:
    """Return one row as aligned names and values, without None."""
    width = max(map(len, row))
    return "\n".join(
        f"{name.replace('_', ' '):<{width}}  {_cell(value)}" for name, value in row.items() if value is not None
    )


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="milliseconds")


def _cell(value: object) -> str:
    if value is None or value == []:
        return "-"
    return printable(json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value))
