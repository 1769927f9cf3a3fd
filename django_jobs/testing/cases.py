"""The assertions in the spelling of Django's test cases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from ..models import Job
from .assertions import assert_enqueued, assert_not_enqueued, assert_num_enqueued
from .capture import capture_jobs
from .expectation import ExpectedOptions
from .targets import JobLike


class JobsTestMixin:
    """``class OrderTests(JobsTestMixin, TestCase)``: what ``django_jobs.testing`` offers, as methods."""

    def assertEnqueued(  # noqa: N802 - Django's spelling
        self,
        job: JobLike,
        /,
        *,
        count: int | None = None,
        among: Iterable[Job] | None = None,
        **expected: Unpack[ExpectedOptions],
    ) -> Job:
        """Do what ``assert_enqueued`` does."""
        __tracebackhide__ = True
        return assert_enqueued(job, count=count, among=among, **expected)

    def assertNotEnqueued(  # noqa: N802 - Django's spelling
        self, job: JobLike | None = None, /, *, among: Iterable[Job] | None = None, **expected: Unpack[ExpectedOptions]
    ) -> None:
        """Do what ``assert_not_enqueued`` does."""
        __tracebackhide__ = True
        assert_not_enqueued(job, among=among, **expected)

    def assertNumEnqueued(  # noqa: N802 - Django's spelling
        self, number: int, job: JobLike | None = None, /, **expected: Unpack[ExpectedOptions]
    ) -> assert_num_enqueued:
        """Do what ``assert_num_enqueued`` does: ``with self.assertNumEnqueued(2):``."""
        return assert_num_enqueued(number, job, **expected)

    def captureJobs(self) -> capture_jobs:  # noqa: N802 - Django's spelling
        """Do what ``capture_jobs`` does: ``with self.captureJobs() as jobs:``."""
        return capture_jobs()
