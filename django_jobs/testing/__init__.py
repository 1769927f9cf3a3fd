"""For the tests of projects that use django_jobs: assert what was enqueued, and run it in the test itself."""

from .assertions import (
    aassert_enqueued,
    aassert_not_enqueued,
    aenqueued,
    assert_enqueued,
    assert_not_enqueued,
    assert_num_enqueued,
    enqueued,
)
from .capture import capture_jobs
from .cases import JobsTestMixin
from .clock import synchronize_clocks
from .drain import adrain, drain
from .drained import drained
from .factories import DeadLetterFactory, JobFactory
from .fake_context import FakeContext, fake_context
from .fire import afire, fire
from .result import Drained
from .run_job import arun_job, run_job
from .working import working

__all__ = [
    "DeadLetterFactory",
    "Drained",
    "FakeContext",
    "JobFactory",
    "JobsTestMixin",
    "aassert_enqueued",
    "aassert_not_enqueued",
    "adrain",
    "aenqueued",
    "afire",
    "arun_job",
    "assert_enqueued",
    "assert_not_enqueued",
    "assert_num_enqueued",
    "capture_jobs",
    "drain",
    "drained",
    "enqueued",
    "fake_context",
    "fire",
    "run_job",
    "working",
]

synchronize_clocks()
