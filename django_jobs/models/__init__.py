"""Floor 2: the tables. Rows are read here and written only by ``store``."""

from .attempt import Attempt
from .batch import Batch, BatchJob, BatchTally
from .dead_letter import AlertedError, DeadLetter
from .dependency import Dependency
from .enqueue_key import EnqueueKey
from .expiry import Expiry
from .job import Job
from .job_log import JobLog
from .limit import Limit, LimitNotice, Permit
from .once_record import OnceRecord
from .queue import Queue
from .result_retention import KeptResult
from .rollup import DeadLetterGroup, DeadLetterHour, JobMark, Rollup, RollupPosition
from .schedule import CronSchedule, Tick
from .token import Token
from .worker import Worker

__all__ = [
    "AlertedError",
    "Attempt",
    "Batch",
    "BatchJob",
    "BatchTally",
    "CronSchedule",
    "DeadLetter",
    "DeadLetterGroup",
    "DeadLetterHour",
    "Dependency",
    "EnqueueKey",
    "Expiry",
    "Job",
    "JobLog",
    "JobMark",
    "KeptResult",
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
