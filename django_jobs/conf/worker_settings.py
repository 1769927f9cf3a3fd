"""Settings of ``runworker``: ``WORKER``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ..exceptions import ConfigurationError
from ..policy.decide import DecisionSettings
from . import readers
from .fields import SETTING, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How workers poll, claim, stop, and rescue the jobs of lost workers."""

    heartbeat_interval: timedelta = setting(
        timedelta(seconds=5), read=readers.as_duration, doc="how often a worker saves its heartbeat"
    )
    stale_after: timedelta = setting(
        timedelta(seconds=15),
        read=readers.as_duration,
        doc="a worker without a heartbeat for this long is lost and its jobs are rescued; at least twice"
        " `HEARTBEAT_INTERVAL`",
    )
    notify: bool = setting(
        True,
        read=readers.as_bool,
        doc="wake idle workers, by NOTIFY on PostgreSQL or by `NOTIFIER`; set to `False` behind a pooler in transaction"
        " mode if there is no `NOTIFIER`",
    )
    poll_interval: timedelta = setting(
        timedelta(seconds=2),
        read=readers.as_duration,
        doc="how often an idle worker checks for jobs although it is notified of them (PostgreSQL, SQLite,"
        " `NOTIFIER`): a lost notification delays a job by no more",
    )
    poll_interval_without_notify: timedelta = setting(
        timedelta(seconds=0.2),
        read=readers.as_duration,
        doc="how often it checks when nothing wakes it: on MySQL and MariaDB without `NOTIFIER`, or with `NOTIFY` off",
    )
    claim_batch_size: int = setting(
        500, read=readers.as_count, doc="the most claimed jobs that wait in a worker to be started"
    )
    prefetch_horizon: timedelta = setting(
        timedelta(seconds=0.25),
        read=readers.as_duration,
        doc="how much work, in time, a worker claims ahead",
    )
    async_concurrency: int = setting(
        100, read=readers.as_count, doc="how many `async def` jobs run at once in a process"
    )
    shutdown_grace: timedelta = setting(
        timedelta(seconds=30),
        read=readers.as_duration_from_zero,
        doc="how long a stopping worker lets running jobs finish before it releases them",
    )
    timeout_grace: timedelta = setting(
        timedelta(seconds=10),
        read=readers.as_duration_from_zero,
        doc="how long a job may run on after its `JobTimeoutError` before its process is replaced",
    )
    max_worker_deaths: int = setting(
        3,
        read=readers.as_count,
        doc="a job that was running when this many workers died is quarantined as a dead letter",
    )
    unknown_job_retry_delay: timedelta = setting(
        timedelta(seconds=60),
        read=readers.as_duration,
        doc="how long a job waits if its worker does not know its name, or until a worker starts that does",
    )
    unknown_job_ttl: timedelta = setting(
        timedelta(days=1),
        read=readers.as_duration,
        doc="a job that no worker knows becomes a dead letter after this long",
    )
    batch_abandoned_after: timedelta = setting(
        timedelta(hours=1),
        read=readers.as_duration,
        doc="a batch that is not closed and to which nothing was added for this long is closed as failed",
    )

    start_method: str | None = setting(
        None,
        read=readers.as_start_method,
        doc='`"fork"`: worker processes are [forked](../operations.md#start-of-processes) from the set-up'
        ' supervisor, share its memory and start at once; `"spawn"`: each is a fresh interpreter; `None`: fork where'
        " it is safe, that is, on Linux and if no thread runs yet",
    )
    process_setup: str | None = setting(
        None,
        read=readers.as_dotted_path,
        doc="a function without arguments, by its dotted path, that each spawned process calls before `django.setup()`,"
        " if `manage.py` does more than name the settings; django-configurations needs none",
    )

    def __post_init__(self) -> None:
        if self.stale_after < 2 * self.heartbeat_interval:
            raise ConfigurationError(
                f"{SETTING}['WORKER']['STALE_AFTER']: expected at least twice HEARTBEAT_INTERVAL"
                f" ({self.heartbeat_interval}), got {self.stale_after}; one late heartbeat would cost a worker its"
                " claims"
            )

    @property
    def rules(self) -> DecisionSettings:
        """The part that decisions depend on."""
        return DecisionSettings(
            unknown_retry_delay=self.unknown_job_retry_delay,
            unknown_ttl=self.unknown_job_ttl,
            max_worker_deaths=self.max_worker_deaths,
        )
