"""For the tests of projects that use django_jobs: run what was enqueued, here and now."""

from .drain import DrainResult, drain

__all__ = ["DrainResult", "drain"]
