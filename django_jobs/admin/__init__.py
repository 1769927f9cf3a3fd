"""Admin pages: staff inspect, retry and purge. Every change goes through ``operations``."""

from .attempts import AttemptAdmin
from .batches.admin import BatchAdmin
from .brokers.admin import MessageSourceAdmin
from .dead_letters.admin import DeadLetterAdmin
from .idempotency import EnqueueKeyAdmin, OnceRecordAdmin
from .jobs.admin import JobAdmin
from .limits.admin import LimitAdmin
from .queues import QueueAdmin
from .related_jobs import JobsForObjectMixin
from .schedules.admin import CronScheduleAdmin
from .schedules.ticks import TickAdmin
from .workers import WorkerAdmin

__all__ = [
    "AttemptAdmin",
    "BatchAdmin",
    "CronScheduleAdmin",
    "DeadLetterAdmin",
    "EnqueueKeyAdmin",
    "JobAdmin",
    "JobsForObjectMixin",
    "LimitAdmin",
    "MessageSourceAdmin",
    "OnceRecordAdmin",
    "QueueAdmin",
    "TickAdmin",
    "WorkerAdmin",
]
