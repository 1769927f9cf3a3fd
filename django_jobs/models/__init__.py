"""Floor 2: the tables. Rows are read here and written only by ``store``."""

from .attempt import Attempt
from .dead_letter import AlertedError, DeadLetter
from .job import Job
from .limit import Limit, LimitNotice, Permit
from .queue import Queue
from .rollup import DeadLetterGroup, DeadLetterHour, JobMark, Rollup, RollupPosition
from .schedule import CronSchedule, Tick
from .worker import Worker

__all__ = [
    "AlertedError",
    "Attempt",
    "CronSchedule",
    "DeadLetter",
    "DeadLetterGroup",
    "DeadLetterHour",
    "Job",
    "JobMark",
    "Limit",
    "LimitNotice",
    "Permit",
    "Queue",
    "Rollup",
    "RollupPosition",
    "Tick",
    "Worker",
]
