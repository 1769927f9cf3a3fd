"""Tables of the engine. Anybody may read rows; only ``store`` writes them."""

from .attempt import Attempt
from .batch import Batch, BatchCountDelta, BatchJob
from .dead_letter import AlertHistory, DeadLetter
from .dependency import Dependency
from .enqueue_key import EnqueueKey
from .expiry import Expiry
from .job import Job
from .job_log import JobLog
from .limit import Limit, LimitSignal, Permit
from .once_record import OnceRecord
from .queue import Queue
from .result_retention import ResultRetention
from .rollup import DeadLetterGroup, DeadLetterHour, JobIdCheckpoint, Rollup, RollupPosition
from .schedule import CronSchedule, Tick
from .worker import Worker

__all__ = [
    "AlertHistory",
    "Attempt",
    "Batch",
    "BatchCountDelta",
    "BatchJob",
    "CronSchedule",
    "DeadLetter",
    "DeadLetterGroup",
    "DeadLetterHour",
    "Dependency",
    "EnqueueKey",
    "Expiry",
    "Job",
    "JobIdCheckpoint",
    "JobLog",
    "Limit",
    "LimitSignal",
    "OnceRecord",
    "Permit",
    "Queue",
    "ResultRetention",
    "Rollup",
    "RollupPosition",
    "Tick",
    "Worker",
]
