"""Background jobs for Django, with the project's own database as the queue.

The names below are the public ones. Importing this package loads no model, so ``@job`` works before
``django.setup()``; ``Job`` and its sisters are in ``django_jobs.models``.
"""

from .batches import Batch, completed_batch, current_batch
from .by_name import aenqueue, enqueue, using
from .calls import RESULT, JobCall, result_of
from .context import JobContext, current_job
from .definition import JobDefinition, job, schedule
from .enqueue_options import EnqueueOptions
from .exceptions import (
    ArgumentsError,
    BatchEndedError,
    Cancel,
    ClaimLostError,
    ConfigurationError,
    Discard,
    InvalidGraphError,
    JobsError,
    JobTimeoutError,
    LimitKeyError,
    NoCurrentBatchError,
    NoCurrentJobError,
    OnceError,
    PayloadTooLargeError,
    RateLimited,
    ResultExpiredError,
    ResultNotPassedError,
    ResultUnreadableError,
    Retry,
    SerializationError,
    Snooze,
    UnknownJobError,
    WaitTimeoutError,
)
from .once import Once, once
from .policy.backoff import Constant, Exponential, Linear
from .policy.limits import CircuitBreaker, Concurrency, Ordering, RateLimit
from .schedules import ScheduleDefinition
from .uniqueness import Unique
from .workflows import Graph, Node, chain, chord, group

__version__ = "0.1.0"

__all__ = [
    "RESULT",
    "ArgumentsError",
    "Batch",
    "BatchEndedError",
    "Cancel",
    "CircuitBreaker",
    "ClaimLostError",
    "Concurrency",
    "ConfigurationError",
    "Constant",
    "Discard",
    "EnqueueOptions",
    "Exponential",
    "Graph",
    "InvalidGraphError",
    "JobCall",
    "JobContext",
    "JobDefinition",
    "JobTimeoutError",
    "JobsError",
    "LimitKeyError",
    "Linear",
    "NoCurrentBatchError",
    "NoCurrentJobError",
    "Node",
    "Once",
    "OnceError",
    "Ordering",
    "PayloadTooLargeError",
    "RateLimit",
    "RateLimited",
    "ResultExpiredError",
    "ResultNotPassedError",
    "ResultUnreadableError",
    "Retry",
    "ScheduleDefinition",
    "SerializationError",
    "Snooze",
    "Unique",
    "UnknownJobError",
    "WaitTimeoutError",
    "aenqueue",
    "chain",
    "chord",
    "completed_batch",
    "current_batch",
    "current_job",
    "enqueue",
    "group",
    "job",
    "once",
    "result_of",
    "schedule",
    "using",
]
