"""Save the outcomes of runs in batches, each only if its claim is still valid."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from ...log_records import log_job
from ...models import Attempt
from ...models.attempt import CLAIM_INDEX
from ...policy.decide import MAX_INTERRUPTIONS, SUCCEEDED_WITHOUT_RESULT
from ...policy.fingerprint import fingerprint
from ...policy.outcomes import AttemptOutcome
from ..dialects import Dialect, open_dialect
from ..dialects.base.jobs import Claim, FinishedRun
from ..dialects.shared.by_id import InIds
from ..results.retention import delete_unsaved_result, record_retention
from .after_finish import handle_finished
from .end_log import log_end
from .trim_attempts import TRIM_EVERY, trim_attempts

MAX_CHARS_PER_STATEMENT = 1_000_000
"""At most four bytes each: well below MySQL's smallest default ``max_allowed_packet``."""

logger = logging.getLogger("django_jobs.store")

__all__ = ["Claim", "FinishedRun", "bound_interruptions", "finish", "saved_before"]


def finish(
    ended: Sequence[FinishedRun], *, worker_id: int, is_retry: bool = False, using: str | None = None
) -> set[int]:
    """Save the decisions and return the ids of the jobs whose claims still belonged to ``worker_id``.

    Job, Attempt and DeadLetter are written together: one statement on PostgreSQL, one transaction elsewhere, per 4 MB
    of results and errors. A lost claim is logged; nothing is written for it, and the file of its result is deleted.
    ``is_retry``: an earlier call with these runs failed, perhaps after the server had saved them; saved runs count. Not
    for a run whose own writes depend on the answer.
    """
    dialect, connection = open_dialect(using)
    saved: set[int] = set()
    # Nearly all runs succeed without a result, and so without text, error or retention.
    others = [run for run in ended if run.decision is not SUCCEEDED_WITHOUT_RESULT]
    for chunk in _chunks(ended) if others else filter(None, [ended]):
        saved |= _save(dialect, connection, chunk, worker_id)
    repeated = [run for run in others if run.decision.gives_back_attempt and run.claim.claim_number % TRIM_EVERY == 0]
    if repeated:
        trim_attempts([run.claim for run in repeated if run.claim.job_id in saved], using=connection.alias)
    if is_retry:
        unknown = [run for run in ended if run.claim.job_id not in saved]
        saved |= saved_before(unknown, worker_id=worker_id, using=connection.alias)
    if len(saved) < len(ended):
        for run in ended:
            if run.claim.job_id not in saved:
                text = "has lost claim %s; the outcome of this run is not saved"
                log_job(logger, logging.WARNING, run.claim, text, run.claim.claim_number)
                delete_unsaved_result(run)
    return saved


def _save(dialect: Dialect, connection: BaseDatabaseWrapper, chunk: Sequence[FinishedRun], worker_id: int) -> set[int]:
    """Save a chunk; if jobs have flags, the updates of what depends on them commit in the same transaction.

    A flag set after the claim is read from the row just written, and handled right afterwards.
    """
    retained = [run for run in chunk if run.decision.result_retention is not None]
    if retained or any(run.claim.flags for run in chunk):
        with dialect.write_transaction(connection):
            flags = dialect.jobs.finish(connection, chunk, worker_id=worker_id)
            if retained := [run for run in retained if run.claim.job_id in flags]:
                record_retention(retained, using=connection.alias)
            handle_finished(_flagged(chunk, flags), using=connection.alias)
    else:
        flags = dialect.jobs.finish(connection, chunk, worker_id=worker_id)
        if any(flags.values()):
            with dialect.write_transaction(connection):
                handle_finished(_flagged(chunk, flags), using=connection.alias)
    return set(flags)


def bound_interruptions(ended: list[FinishedRun], *, using: str | None = None) -> list[FinishedRun]:
    """Make interruptions of a job beyond the maximum its own failures; call it before ``finish``.

    One statement if there are runs whose database went away, none otherwise.
    """
    ids = [run.claim.job_id for run in ended if run.decision.after_interruptions is not None]
    if not ids:
        return ended
    _, connection = open_dialect(using)
    attempts = Attempt.objects.using(connection.alias).filter(InIds("job_id", ids, index=CLAIM_INDEX))
    interrupted = attempts.filter(outcome=AttemptOutcome.RELEASED).exclude(error_class="")
    counts = Counter(interrupted.values_list("job_id", flat=True))
    return [_bounded(run) if counts[run.claim.job_id] >= MAX_INTERRUPTIONS else run for run in ended]


def _bounded(run: FinishedRun) -> FinishedRun:
    """Return an interrupted run with its own failure as its end, and log that end."""
    if run.decision.after_interruptions is None:
        return run
    run = run._replace(decision=run.decision.after_interruptions)
    log_end(run)
    return run


def _flagged(chunk: Sequence[FinishedRun], flags: dict[int, int]) -> list[FinishedRun]:
    """Return the runs whose claim was valid and whose jobs have flags, each with its current flags.

    A claim may have one flag more than its row: a job that was only now found to be under limits.
    """
    return [
        run if bits == run.claim.flags else run._replace(claim=run.claim._replace(flags=bits))
        for run in chunk
        if run.claim.job_id in flags and (bits := flags[run.claim.job_id] | run.claim.flags)
    ]


def saved_before(ended: Sequence[FinishedRun], *, worker_id: int, using: str | None = None) -> set[int]:
    """Return the ids of jobs whose attempts are recorded with the outcomes of these runs. One statement."""
    _, connection = open_dialect(using)
    attempts = Attempt.objects.using(connection.alias).filter(
        job_id__in=[run.claim.job_id for run in ended], worker=worker_id
    )
    recorded = set(attempts.values_list("job_id", "claim_number", "outcome")) if ended else set()
    return {
        run.claim.job_id
        for run in ended
        if run.decision.attempt_outcome is not None
        and (run.claim.job_id, run.claim.claim_number, run.decision.attempt_outcome.value) in recorded
    }


def _chunks(ended: Sequence[FinishedRun]) -> Iterator[list[FinishedRun]]:
    """Yield the runs in as few chunks as the size of a statement allows."""
    chunk: list[FinishedRun] = []
    size = 0
    for run in ended:
        error = run.decision.error
        length = len(run.decision.result or "") + (len(error.message) + len(error.traceback) if error else 0)
        if chunk and size + length > MAX_CHARS_PER_STATEMENT:
            yield chunk
            chunk, size = [], 0
        chunk.append(_with_fingerprint(run))
        size += length
    if chunk:
        yield chunk


def _with_fingerprint(run: FinishedRun) -> FinishedRun:
    """Give a death without a Python error (lost, unknown name) the fingerprint of its reason."""
    decision = run.decision
    if decision.death is None or run.fingerprint:
        return run
    error = decision.error
    text = fingerprint(
        job_name=run.claim.name,
        error_class=error.error_class if error else decision.death.value,
        message=error.message if error else "",
    )
    return run._replace(fingerprint=text)
