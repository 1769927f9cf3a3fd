"""Floor 6: staff inspect, retry and purge in Django's admin. Every change is a verb of ``store``."""

from .attempts import AttemptAdmin
from .batches import BatchAdmin
from .dead_letters import DeadLetterAdmin
from .jobs import JobAdmin
from .keys import EnqueueKeyAdmin, OnceRecordAdmin
from .limits import LimitAdmin
from .objects import JobsForObjectMixin
from .queues import QueueAdmin
from .schedules import CronScheduleAdmin, TickAdmin
from .tokens import TokenAdmin
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
    "OnceRecordAdmin",
    "QueueAdmin",
    "TickAdmin",
    "TokenAdmin",
    "WorkerAdmin",
]
