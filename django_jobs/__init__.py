"""Background jobs for Django, with the project's own database as the queue.

The names below are the public ones. Importing this package loads no model, so ``@job`` works before
``django.setup()``; ``Job`` and its sisters are in ``django_jobs.models``.
"""

from .batches import Batch, current_batch, ended_batch
from .by_name import aenqueue, enqueue, using
from .calls import RESULT, JobCall, result_of
from .context import JobContext, current_job
from .definition import JobDefinition, job, schedule
from .enqueue_options import EnqueueOptions
from .exceptions import (
    ArgumentsError,
    BatchEnded,
    Cancelled,
    ClaimLost,
    ConfigurationError,
    Discard,
    GraphRefused,
    JobsError,
    JobTimeout,
    LimitKeyError,
    NoCurrentBatch,
    NoCurrentJob,
    OnceError,
    PayloadTooLarge,
    RateLimited,
    ResultExpired,
    ResultNotPassed,
    ResultUnreadable,
    Retry,
    SerializationError,
    Snooze,
    UnknownJobError,
    WaitTimeout,
)
from .once import Once, once
from .policy.backoff import Constant, Exponential, Linear
from .policy.limits import Breaker, Concurrency, Order, Rate
from .schedules import ScheduleDefinition
from .uniqueness import Unique
from .workflows import Graph, Node, chain, chord, group

__version__ = "0.1.0"

__all__ = [
    "RESULT",
    "ArgumentsError",
    "Batch",
    "BatchEnded",
    "Breaker",
    "Cancelled",
    "ClaimLost",
    "Concurrency",
    "ConfigurationError",
    "Constant",
    "Discard",
    "EnqueueOptions",
    "Exponential",
    "Graph",
    "GraphRefused",
    "JobCall",
    "JobContext",
    "JobDefinition",
    "JobTimeout",
    "JobsError",
    "LimitKeyError",
    "Linear",
    "NoCurrentBatch",
    "NoCurrentJob",
    "Node",
    "Once",
    "OnceError",
    "Order",
    "PayloadTooLarge",
    "Rate",
    "RateLimited",
    "ResultExpired",
    "ResultNotPassed",
    "ResultUnreadable",
    "Retry",
    "ScheduleDefinition",
    "SerializationError",
    "Snooze",
    "Unique",
    "UnknownJobError",
    "WaitTimeout",
    "aenqueue",
    "chain",
    "chord",
    "current_batch",
    "current_job",
    "ended_batch",
    "enqueue",
    "group",
    "job",
    "once",
    "result_of",
    "schedule",
    "using",
]
