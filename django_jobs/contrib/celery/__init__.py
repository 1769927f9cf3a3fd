"""Tasks written for Celery, as jobs: ``from celery import ...`` becomes ``from django_jobs.contrib.celery import ...``.

A task is a job: it is enqueued in the caller's transaction, runs in ``manage.py runworker`` and is seen in the admin.
``celery`` itself is not needed. docs/how-to/celery.md has the table of options and the plan of a move.
"""

from . import checks, states  # noqa: F401 - registers the checks
from .app import Celery, current_app, current_task, shared_task
from .canvas import chain, chord, chunks, group, maybe_signature, signature, subtask, xmap, xstarmap
from .exceptions import UnsupportedError
from .forwarding import forward_messages
from .schedules import crontab
from .task import Task
from .utils import uuid

__all__ = [
    "Celery",
    "Task",
    "UnsupportedError",
    "chain",
    "chord",
    "chunks",
    "crontab",
    "current_app",
    "current_task",
    "forward_messages",
    "group",
    "maybe_signature",
    "shared_task",
    "signature",
    "states",
    "subtask",
    "uuid",
    "xmap",
    "xstarmap",
]
