"""For the tests of projects that use django_jobs: run what was enqueued, here and now."""

from .drain import Drained, drain

__all__ = ["Drained", "drain"]
