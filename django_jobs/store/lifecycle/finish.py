"""Finish: save what became of runs, many at once, each only if its claim still stands."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from ...models import Attempt
from ...policy.fingerprint import fingerprint
from ..dialects import open_dialect
from ..dialects.base.jobs import Claim, Dialect, Ended
from ..results.retention import discard, keep
from .after_finish import follow

LETTERS_A_STATEMENT = 1_000_000
"""At most four bytes each: well under MySQL's smallest default ``max_allowed_packet``."""

logger = logging.getLogger("django_jobs.store")

__all__ = ["Claim", "Ended", "finish"]


def finish(
    ended: Sequence[Ended], *, worker_id: int, again: bool = False, using: str | None = None
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
        saved |= _saved_before([one for one in ended if one.claim.job_id not in saved], worker_id, connection)
    if len(saved) < len(ended):
        for one in ended:
            if one.claim.job_id not in saved:
                logger.warning(
                    "job %s (%s): claim %s was lost; what this run returned is not saved",
                    one.claim.job_id,
                    one.claim.name,
                    one.claim.claim_number,
                )
                discard(one)
    return saved


def _save(
    dialect: Dialect, connection: BaseDatabaseWrapper, chunk: Sequence[Ended], worker_id: int
) -> set[int]:
    """Save a chunk; what follows from jobs with links commits together with their ends.

    A link that came after the claim is read from the row that was just written: then it is seen to right afterwards.
    """
    kept = [one for one in chunk if one.decision.keeping is not None]
    if kept or any(one.claim.links for one in chunk):
        with dialect.writing(connection):
            links = dialect.finish(connection, chunk, worker_id=worker_id)
            if kept := [one for one in kept if one.claim.job_id in links]:
                keep(kept, using=connection.alias)
            follow(_linked(chunk, links), using=connection.alias)
    else:
        links = dialect.finish(connection, chunk, worker_id=worker_id)
        if any(links.values()):
            with dialect.writing(connection):
                follow(_linked(chunk, links), using=connection.alias)
    return set(links)


def _linked(chunk: Sequence[Ended], links: dict[int, int]) -> list[Ended]:
    """Return those of the runs whose claim stood and whose jobs have links, with these.

    A claim's may have one more than its row: that of a job which was only now found to be under limits.
    """
    return [
        one if bits == one.claim.links else one._replace(claim=one.claim._replace(links=bits))
        for one in chunk
        if one.claim.job_id in links and (bits := links[one.claim.job_id] | one.claim.links)
    ]


def _saved_before(ended: Sequence[Ended], worker_id: int, connection: BaseDatabaseWrapper) -> set[int]:
    """Return the jobs whose tries are recorded as these runs would have them."""
    tries = Attempt.objects.using(connection.alias).filter(
        job_id__in=[one.claim.job_id for one in ended], worker=worker_id
    )
    recorded = set(tries.values_list("job_id", "claim_number", "outcome")) if ended else set()
    return {
        one.claim.job_id
        for one in ended
        if one.decision.attempt_outcome is not None
        and (one.claim.job_id, one.claim.claim_number, one.decision.attempt_outcome.value) in recorded
    }


def _chunks(ended: Sequence[Ended]) -> Iterator[list[Ended]]:
    """Yield the runs in as few parts as a statement's size allows."""
    chunk: list[Ended] = []
    size = 0
    for one in ended:
        error = one.decision.error
        length = len(one.decision.result or "") + (len(error.message) + len(error.traceback) if error else 0)
        if chunk and size + length > LETTERS_A_STATEMENT:
            yield chunk
            chunk, size = [], 0
        chunk.append(_with_fingerprint(one))
        size += length
    if chunk:
        yield chunk


def _with_fingerprint(ended: Ended) -> Ended:
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
