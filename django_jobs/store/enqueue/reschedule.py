"""Give a waiting job another due time, and other arguments, if it has not changed since it was read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ...models import Job, Permit
from ...policy.flags import JobFlag
from ...policy.limits import RequiredPermit
from ...policy.states import State
from ...policy.uniqueness import rescheduled_due
from ..clock import database_now
from ..dialects import open_dialect
from ..dialects.base.jobs import GIVEN_COLUMNS, Inserted, NewJob
from ..dialects.shared.by_id import InIds
from ..limits.permits import cancel_permits, insert_permits, suspend_permits, wait_at_next_limit
from ..notify import notify_on_commit
from .expiry import delete_expiries, insert_expiries


def reschedule(
    job: Job,
    new: NewJob,
    *,
    arguments: Mapping[str, Any] | None,
    needs: Sequence[RequiredPermit] = (),
    max_wait: timedelta | None = None,
) -> bool:
    """Let the waiting ``job`` be due when ``new`` would be; False if it has changed since it was read.

    With ``arguments`` it keeps its place in the queue and otherwise becomes ``new``: all attempts left, under the
    limits of ``needs``. Earlier attempts stay on record. ``max_wait`` bounds the due time of a job without an attempt,
    see ``rescheduled_due``. It expires when ``new`` would. The object is changed too. For a job without limits and
    expiry one statement and a read of the clock.
    """
    dialect, connection = open_dialect(job._state.db)
    using = connection.alias
    is_limited, now = bool(job.flags & JobFlag.LIMITED), database_now(using=using)
    due = _due(job, new, max_wait if job.attempt == 0 else None, now)
    limited = is_limited or bool(needs and arguments is not None)
    expires = bool((job.flags | new.flags) & JobFlag.EXPIRES)
    if not (limited or expires):
        changes = _timed(job, due, now) | _replaced(new, arguments)
        return _write(job, changes, using)
    with dialect.write_transaction(connection):
        changes = _timed(job, due, now, becomes=State.BLOCKED if limited else State.READY)
        changes |= _replaced(new, arguments)
        if expires:
            changes["flags"] = int(job.flags & ~JobFlag.EXPIRES | new.flags & JobFlag.EXPIRES)
        if limited:
            written = _write_limited(job, changes, None if arguments is None else needs, using)
        else:
            written = _write(job, changes, using)
        if written and expires:
            delete_expiries([job.pk], using=using)
            insert_expiries(new, [Inserted(job.pk, job.state, now, job.run_after, job.ready_at)], using=using)
    return written


def _write_limited(job: Job, changes: dict[str, Any], needs: Sequence[RequiredPermit] | None, using: str) -> bool:
    """Write a job that is under limits, or will be; ``needs`` None: the same limits as before."""
    held = set(Permit.objects.using(using).filter(job=job.pk, run=0).values_list("limit_id", flat=True))
    moves = needs is not None and held != {need.limit_id for need in needs}
    if moves:
        flags = changes.get("flags", job.flags)
        changes |= {"flags": int(flags & ~JobFlag.LIMITED | (JobFlag.LIMITED if needs else 0))}
        if changes["state"] != State.SCHEDULED:
            changes |= {"state": State.BLOCKED, "ready_at": None, "run_after": None}
    before = job.state
    if not _write(job, changes, using):
        return False
    if needs is not None and moves:
        cancel_permits([job.pk], using=using)
        waiting = job.state == State.BLOCKED
        insert_permits([(job.pk, needs)], priority=job.priority, waiting=waiting, using=using)
    elif before != State.SCHEDULED and job.state == State.SCHEDULED:
        suspend_permits([job.pk], using=using)
    if job.state == State.BLOCKED:
        wait_at_next_limit([job.pk], using=using)
        job.refresh()
    return True


def _due(job: Job, new: NewJob, max_wait: timedelta | None, now: datetime) -> datetime | None:
    """Return the new due time, None for at once."""
    due = new.run_after
    if new.delay_seconds is not None:
        due = now + timedelta(seconds=new.delay_seconds)
    return None if due is None else rescheduled_due(due, now=now, enqueued_at=job.enqueued_at, max_wait=max_wait)


def _timed(job: Job, due: datetime | None, now: datetime, *, becomes: State = State.READY) -> dict[str, Any]:
    """Return state and instants. A ready job that may run at once keeps its place in the queue.

    A blocked job without a limit waits for something else than a time, and continues to.
    """
    if job.state == State.BLOCKED and not job.flags & JobFlag.LIMITED:
        return {"state": State.BLOCKED}
    if due is not None:
        return {"state": State.SCHEDULED, "run_after": due, "ready_at": None}
    if job.state != State.SCHEDULED:
        return {"state": job.state}
    return {"state": becomes, "run_after": None, "ready_at": now if becomes is State.READY else None}


def _replaced(new: NewJob, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
    if arguments is None:
        return {}
    given = dict(zip(GIVEN_COLUMNS, new.given, strict=True))
    del given["name"], given["flags"]
    return {
        **given,
        "arguments": arguments,
        "metadata": json.loads(new.metadata),
        "attempt": 0,
        "worker_deaths": 0,
        "unknown_since": None,
    }


def _write(job: Job, changes: dict[str, Any], using: str) -> bool:
    """Write by the primary key: by an index of states MariaDB would deadlock with a claim of the same job."""
    dialect, connection = open_dialect(using)
    unchanged = Job.objects.using(using).filter(InIds("pk", [job.pk]), state=job.state, claim_number=job.claim_number)
    with dialect.write_transaction(connection):
        if not unchanged.update(**changes):
            return False
    for name, value in changes.items():
        setattr(job, name, value)
    notify_on_commit([job.queue_name], using=using)
    return True
