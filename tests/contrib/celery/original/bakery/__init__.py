"""A bakery that bakes, sells and reports by Celery tasks. Not a word of django_jobs in this package."""

from .celery import app as celery_app

__all__ = ("celery_app",)
