"""Background jobs for Django, with the project's own database as the queue.

The names below are the public ones. Importing this package loads no model, so ``@job`` works before
``django.setup()``; ``Job`` and its sisters are in ``django_jobs.models``.
"""

from .by_name import aenqueue, enqueue, using
from .context import JobContext, current_job
from .definition import EnqueueOptions, JobDefinition, job, schedule
from .exceptions import (
    ArgumentsError,
    Cancelled,
    ClaimLost,
    ConfigurationError,
    Discard,
    JobsError,
    JobTimeout,
    LimitKeyError,
    NoCurrentJob,
    OnceError,
    PayloadTooLarge,
    RateLimited,
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

__version__ = "0.1.0"

__all__ = [
    "ArgumentsError",
    "Breaker",
    "Cancelled",
    "ClaimLost",
    "Concurrency",
    "ConfigurationError",
    "Constant",
    "Discard",
    "EnqueueOptions",
    "Exponential",
    "JobContext",
    "JobDefinition",
    "JobTimeout",
    "JobsError",
    "LimitKeyError",
    "Linear",
    "NoCurrentJob",
    "Once",
    "OnceError",
    "Order",
    "PayloadTooLarge",
    "Rate",
    "RateLimited",
    "Retry",
    "ScheduleDefinition",
    "SerializationError",
    "Snooze",
    "Unique",
    "UnknownJobError",
    "WaitTimeout",
    "aenqueue",
    "current_job",
    "enqueue",
    "job",
    "once",
    "schedule",
    "using",
]
