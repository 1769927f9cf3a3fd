"""Tables of the engine. Anybody may read rows; only ``store`` writes them."""

from .attempt import Attempt
from .batch import Batch, BatchCountDelta, BatchJob
from .dead_letter import AlertHistory, DeadLetter
from .dependency import Dependency
from .deploy import Deploy
from .enqueue_key import EnqueueKey
from .expiry import Expiry
from .job import Job
from .job_log import JobLog
from .limit import Limit, LimitSignal, Permit
from .message import BrokerOutage, MessageConsumer, MessageSource, ReceivedId, SourcePartition
from .once_record import OnceRecord
from .queue import Queue
from .result_retention import ResultRetention
from .rollup import DeadLetterGroup, DeadLetterHour, JobIdCheckpoint, Rollup, RollupPosition, TypeRollup
from .schedule import CronSchedule, Tick
from .worker import Worker

__all__ = [
    "AlertHistory",
    "Attempt",
    "Batch",
    "BatchCountDelta",
    "BatchJob",
    "BrokerOutage",
    "CronSchedule",
    "DeadLetter",
    "DeadLetterGroup",
    "DeadLetterHour",
    "Dependency",
    "Deploy",
    "EnqueueKey",
    "Expiry",
    "Job",
    "JobIdCheckpoint",
    "JobLog",
    "Limit",
    "LimitSignal",
    "MessageConsumer",
    "MessageSource",
    "OnceRecord",
    "Permit",
    "Queue",
    "ReceivedId",
    "ResultRetention",
    "Rollup",
    "RollupPosition",
    "SourcePartition",
    "Tick",
    "TypeRollup",
    "Worker",
]
