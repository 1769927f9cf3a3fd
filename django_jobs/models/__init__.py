"""Floor 2: the tables. Rows are read here and written only by ``store``."""

from .attempt import Attempt
from .dead_letter import AlertedError, DeadLetter
from .enqueue_key import EnqueueKey
from .job import Job
from .limit import Limit, LimitNotice, Permit
from .once_record import OnceRecord
from .queue import Queue
from .rollup import DeadLetterGroup, DeadLetterHour, JobMark, Rollup, RollupPosition
from .schedule import CronSchedule, Tick
from .token import Token
from .worker import Worker

__all__ = [
    "AlertedError",
    "Attempt",
    "CronSchedule",
    "DeadLetter",
    "DeadLetterGroup",
    "DeadLetterHour",
    "EnqueueKey",
    "Job",
    "JobMark",
    "Limit",
    "LimitNotice",
    "OnceRecord",
    "Permit",
    "Queue",
    "Rollup",
    "RollupPosition",
    "Tick",
    "Token",
    "Worker",
]
