"""Floor 6: staff inspect, retry and purge in Django's admin. Every change is a verb of ``store``."""

from .dead_letters import DeadLetterAdmin
from .jobs import JobAdmin
from .queues import QueueAdmin
from .schedules import CronScheduleAdmin, TickAdmin
from .workers import WorkerAdmin

__all__ = ["CronScheduleAdmin", "DeadLetterAdmin", "JobAdmin", "QueueAdmin", "TickAdmin", "WorkerAdmin"]
