"""Permissions of the admin: Django's own, one for each action on the queue."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

APP = "django_jobs"

VIEW_ARGUMENTS = "view_job_arguments"
RETRY, CANCEL, PURGE, MOVE, ENQUEUE = "retry_job", "cancel_job", "purge_job", "move_job", "enqueue_job"
ENQUEUE_NEW = "enqueue_new_job"
REDRIVE, PURGE_DEAD_LETTERS, RESOLVE = "redrive_deadletter", "purge_deadletter", "resolve_deadletter"
PAUSE, STOP, KILL = "pause_queue", "stop_worker", "kill_worker"
REOPEN = "reopen_limit"
PAUSE_SOURCE = "pause_messagesource"


def has_permission(request: HttpRequest, codename: str) -> bool:
    """Tell whether the user has a permission of this app, such as ``retry_job``."""
    return request.user.has_perm(f"{APP}.{codename}")


def require_permission(request: HttpRequest, codename: str) -> None:
    """Raise PermissionDenied (a 403) if the user lacks the permission."""
    if not has_permission(request, codename):
        raise PermissionDenied(f"the permission {APP}.{codename} is needed")
