"""For the tests of projects that use django_jobs: run enqueued jobs in the test itself."""

from .drain import DrainResult, drain

__all__ = ["DrainResult", "drain"]
