"""Kill a worker: end its process at once, for a job that does not end otherwise; its other jobs are released."""

from __future__ import annotations

from functools import partial

from ...models import Job
from ...policy.states import State
from ..dialects import open_dialect
from ..transactions import retry_on_conflict
from ..workers import request_kill
from .cancel import cancel


def kill_worker(worker_id: int, *, job_id: int | None = None, by: str = "", using: str | None = None) -> bool:
    """Request a living worker to end at once; return whether that was requested now.

    Its running jobs are released without using up an attempt, and another process takes its place, unless
    ``stop_worker`` was called too. ``job_id`` names the job to blame: it is cancelled instead of running again, and if
    it does not run under this worker any more, nothing is requested. One transaction. ``by`` names the actor.
    """
    _, connection = open_dialect(using)
    return retry_on_conflict(partial(_kill, worker_id, job_id, by, connection.alias), using=connection.alias)


def _kill(worker_id: int, job_id: int | None, by: str, alias: str) -> bool:
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        if job_id is not None:
            locked = Job.objects.using(alias).filter(pk=job_id).select_for_update()
            if list(locked.values_list("state", "worker_id")) != [(State.RUNNING, worker_id)]:
                return False
        is_requested = request_kill(worker_id, by=by, using=alias)
        if is_requested and job_id is not None:
            cancel(job_id, by=by, using=alias)
        return is_requested
