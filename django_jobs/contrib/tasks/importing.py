"""Move the tasks that wait in the table of django-tasks-db into jobs: ``manage.py jobs import-django-tasks-db``.

::

    lock rows that wait ──> enqueue a job for each, and keep its id ──> delete them ──> commit the jobs ──> commit

A row that ``db_worker``, or another import, has locked or claimed is passed over, until nothing else waits. With both
tables in one database all is one transaction. Else the jobs are committed first: after a crash between the two the rows
are there, and the next import finds their ids kept, and deletes them only.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import router
from django.db.models import Model, Q, QuerySet

from ... import registry
from ...conf.database import current_database
from ...exceptions import ConfigurationError, JobsError
from ...options import check_using
from ...store.dialects import open_dialect
from ...store.dialects.shared.by_id import delete_rows
from ...store.enqueue.foreign_ids import find_foreign_ids, save_foreign_ids
from ...store.transactions import retry_on_conflict
from .alias import backend_of
from .definition import TaskJob
from .old_ids import QUEUE
from .results import copy_task

logger = logging.getLogger("django_jobs.tasks")

BATCH = 100
NO_TIME_YEAR = 9999
"""Of their ``run_after``, for a task that has none."""


@dataclass(slots=True, kw_only=True)
class Imported:
    """``moved``: how many tasks are jobs now. ``left``: how many stay where they are, by their path."""

    moved: int = 0
    left: dict[str, int] = field(default_factory=dict)


class _Position(NamedTuple):
    enqueued_at: datetime
    pk: UUID


def import_waiting_tasks(*, dry_run: bool = False) -> Imported:
    """Move what waits, 100 rows a transaction in the order of their enqueue; ``dry_run``: count, and change nothing.

    A task is left if its path leads to no Task of this package's backend, or with a warning if it cannot be a job, as
    one whose arguments are too large; ``dry_run`` counts the latter as moved. Raises ConfigurationError if their app is
    not installed.
    """
    model = _their_model()
    imported = Imported()
    while True:
        moved, imported.left = _move_all(model, dry_run=dry_run)
        imported.moved += moved
        if dry_run or not moved or _waiting(model).count() <= sum(imported.left.values()):
            return imported


def _move_all(model: type[Model], *, dry_run: bool) -> tuple[int, dict[str, int]]:
    """Go through what waits once; return how many tasks were moved, and how many were left, by path.

    A row that is locked is passed over. Two imports can both pass over the same row, as MariaDB locks more rows than
    its answer has: so whoever has moved something looks again.
    """
    position, moved, left = None, 0, Counter[str]()
    while True:
        rows, moved_here, left_here = _move_batch(model, position, dry_run=dry_run)
        moved += moved_here
        left += left_here
        if not rows:
            return moved, dict(left)
        position = _Position(rows[-1].enqueued_at, rows[-1].pk)


def _waiting(model: type[Model]) -> QuerySet[Any]:
    return model._base_manager.using(router.db_for_write(model)).filter(status="READY")


def _their_model() -> type[Model]:
    try:
        return apps.get_model(QUEUE, "DBTaskResult")
    except LookupError:
        raise ConfigurationError(
            "import-django-tasks-db: expected 'django_tasks_db' in INSTALLED_APPS, whose table is read through its"
            " model; keep it there until nothing waits in it"
        ) from None


def _move_batch(
    model: type[Model], after: _Position | None, *, dry_run: bool
) -> tuple[Sequence[Any], int, Counter[str]]:
    waiting = _waiting(model)
    if after is not None:
        is_behind = Q(enqueued_at__gt=after.enqueued_at) | Q(enqueued_at=after.enqueued_at, pk__gt=after.pk)
        waiting = waiting.filter(is_behind)
    waiting = waiting.order_by("enqueued_at", "pk")
    if dry_run:
        rows = list(waiting[:BATCH])
        known = [row for row in rows if _job_of(row) is not None]
        return rows, len(known), _paths(row for row in rows if _job_of(row) is None)
    return retry_on_conflict(partial(_move, waiting), using=current_database())


def _move(waiting: QuerySet[Any]) -> tuple[Sequence[Any], int, Counter[str]]:
    (theirs, their_connection), (ours, connection) = open_dialect(waiting.db), open_dialect()
    with theirs.write_transaction(their_connection), ours.write_transaction(connection):
        locked = waiting.select_for_update(skip_locked=their_connection.features.has_select_for_update_skip_locked)
        rows = list(locked[:BATCH])
        known = {row: job for row in rows if (job := _job_of(row)) is not None}
        kept = find_foreign_ids(QUEUE, [str(row.pk) for row in known], using=connection.alias)
        new = {row: job for row in known if str(row.pk) not in kept and (job := _enqueue(row, known[row])) is not None}
        if new:
            save_foreign_ids(QUEUE, {str(row.pk): job for row, job in new.items()}, using=connection.alias)
        done = [row for row in known if row in new or str(row.pk) in kept]
        delete_rows(waiting.filter(pk__in=[row.pk for row in done]))
    return rows, len(new), _paths(row for row in rows if row not in done)


def _paths(rows: Any) -> Counter[str]:
    return Counter(row.task_path for row in rows)


def _job_of(row: Any) -> TaskJob | None:
    job = registry.find(row.task_path)
    return job if isinstance(job, TaskJob) else None


def _enqueue(row: Any, job: TaskJob) -> Any:
    """Return the job of a row; None, with a warning, for what no job can be."""
    run_after = None if row.run_after.year == NO_TIME_YEAR else row.run_after
    try:
        check_using(job.name, {"queue_name": row.queue_name, "priority": row.priority, "run_after": run_after})
        task = copy_task(
            job.task,
            backend=_alias_of(row, job),
            priority=row.priority,
            queue_name=row.queue_name,
            run_after=run_after,
        )
        return job.of(task).enqueue_as_given(row.args_kwargs["args"], row.args_kwargs["kwargs"])
    except (JobsError, TypeError, LookupError) as error:
        logger.warning("task %s of django-tasks-db cannot be a job and stays there: %s", row.pk, error)
        return None


def _alias_of(row: Any, job: TaskJob) -> str:
    """Return the alias of the row if it is ours now, else that of the Task."""
    alias: str = row.backend_name
    is_ours = alias in settings.TASKS and backend_of(copy_task(job.task, backend=alias)) is not None
    return alias if is_ours else str(job.task.backend)
