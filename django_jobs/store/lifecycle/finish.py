"""Finish: save what became of runs, many at once, each only if its claim still stands."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from ...models import Attempt
from ...policy.fingerprint import fingerprint
from ..dialects import Dialect, open_dialect
from ..dialects.base.jobs import Claim, FinishedRun
from ..results.retention import delete_unsaved_result, record_retention
from .after_finish import handle_finished

MAX_CHARS_PER_STATEMENT = 1_000_000
"""At most four bytes each: well under MySQL's smallest default ``max_allowed_packet``."""

logger = logging.getLogger("django_jobs.store")

__all__ = ["Claim", "FinishedRun", "finish"]


def finish(
    ended: Sequence[FinishedRun], *, worker_id: int, again: bool = False, using: str | None = None
) -> set[int]:
    """Save the decisions and return the ids of the jobs whose claims were still ``worker_id``'s.

    Job, Attempt and DeadLetter are written together: one statement on PostgreSQL, one transaction
    elsewhere, for 4 MB of results and errors. A claim that was lost is logged, nothing is written for it, and
    its result's file is deleted.
    ``again``: an earlier call with these runs failed, perhaps after the server had saved them; what is saved counts.
    Not for a run whose own writes depend on the answer.
    """
    dialect, connection = open_dialect(using)
    saved: set[int] = set()
    for chunk in _chunks(ended):
        saved |= _save(dialect, connection, chunk, worker_id)
    if again:
        saved |= _already_saved(
            [one for one in ended if one.claim.job_id not in saved], worker_id, connection
        )
    if len(saved) < len(ended):
        for one in ended:
            if one.claim.job_id not in saved:
                logger.warning(
                    "job %s (%s): claim %s was lost; what this run returned is not saved",
                    one.claim.job_id,
                    one.claim.name,
                    one.claim.claim_number,
                )
                delete_unsaved_result(one)
    return saved


def _save(
    dialect: Dialect, connection: BaseDatabaseWrapper, chunk: Sequence[FinishedRun], worker_id: int
) -> set[int]:
    """Save a chunk; what follows from jobs with flags commits together with their ends.

    A link that came after the claim is read from the row that was just written: then it is seen to right afterwards.
    """
    kept = [one for one in chunk if one.decision.result_retention is not None]
    if kept or any(one.claim.flags for one in chunk):
        with dialect.write_transaction(connection):
            flags = dialect.jobs.finish(connection, chunk, worker_id=worker_id)
            if kept := [one for one in kept if one.claim.job_id in flags]:
                record_retention(kept, using=connection.alias)
            handle_finished(_flagged(chunk, flags), using=connection.alias)
    else:
        flags = dialect.jobs.finish(connection, chunk, worker_id=worker_id)
        if any(flags.values()):
            with dialect.write_transaction(connection):
                handle_finished(_flagged(chunk, flags), using=connection.alias)
    return set(flags)


def _flagged(chunk: Sequence[FinishedRun], flags: dict[int, int]) -> list[FinishedRun]:
    """Return those of the runs whose claim stood and whose jobs have flags, with these.

    A claim's may have one more than its row: that of a job which was only now found to be under limits.
    """
    return [
        one if bits == one.claim.flags else one._replace(claim=one.claim._replace(flags=bits))
        for one in chunk
        if one.claim.job_id in flags and (bits := flags[one.claim.job_id] | one.claim.flags)
    ]


def _already_saved(ended: Sequence[FinishedRun], worker_id: int, connection: BaseDatabaseWrapper) -> set[int]:
    """Return the jobs whose attempts are recorded as these runs would have them."""
    attempts = Attempt.objects.using(connection.alias).filter(
        job_id__in=[one.claim.job_id for one in ended], worker=worker_id
    )
    recorded = set(attempts.values_list("job_id", "claim_number", "outcome")) if ended else set()
    return {
        one.claim.job_id
        for one in ended
        if one.decision.attempt_outcome is not None
        and (one.claim.job_id, one.claim.claim_number, one.decision.attempt_outcome.value) in recorded
    }


def _chunks(ended: Sequence[FinishedRun]) -> Iterator[list[FinishedRun]]:
    """Yield the runs in as few parts as a statement's size allows."""
    chunk: list[FinishedRun] = []
    size = 0
    for one in ended:
        error = one.decision.error
        length = len(one.decision.result or "") + (len(error.message) + len(error.traceback) if error else 0)
        if chunk and size + length > MAX_CHARS_PER_STATEMENT:
            yield chunk
            chunk, size = [], 0
        chunk.append(_with_fingerprint(one))
        size += length
    if chunk:
        yield chunk


def _with_fingerprint(ended: FinishedRun) -> FinishedRun:
    """Give a death without a Python error (lost, unknown name) the fingerprint of its reason."""
    decision = ended.decision
    if decision.death is None or ended.fingerprint:
        return ended
    error = decision.error
    text = fingerprint(
        job_name=ended.claim.name,
        error_class=error.error_class if error else decision.death.value,
        message=error.message if error else "",
    )
    return ended._replace(fingerprint=text)
