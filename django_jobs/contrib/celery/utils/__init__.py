"""Helpers under Celery's names."""

from uuid import uuid4


def uuid() -> str:
    """Return a new unique id."""
    return str(uuid4())
