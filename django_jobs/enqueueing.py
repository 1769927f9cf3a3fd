"""Place new jobs: into the batch that gathers here, and behind the jobs that they wait for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .batch_context import current_gathering
from .policy.flags import JobFlag
from .policy.graph import OnDead
from .policy.limits import RequiredPermit
from .policy.uniqueness import ConflictRule, NewKey

if TYPE_CHECKING:
    from .models import Job
    from .store.dialects.base.jobs import NewJob
    from .store.workflows.enqueue import NewNode


def place(
    new: NewJob,
    arguments: Sequence[Mapping[str, Any]],
    *,
    needs: Sequence[Sequence[RequiredPermit]] = (),
    after: Sequence[int] = (),
    on_dead: OnDead = OnDead.BLOCK,
) -> list[Job]:
    """Insert one job for each of ``arguments`` in the caller's transaction; ``after`` has ids of jobs it waits for.

    ``needs`` has, for each, the limits that it is under. One that waits for others comes to its limits after them.
    """
    from .store.enqueue.insert import enqueue

    if after:
        from .store.workflows.enqueue import NewNode, PredecessorRef

        before = tuple(PredecessorRef(job_id=one) for one in after)
        return place_nodes(
            [NewNode(new=new, arguments=dict(one), after=before, on_dead=on_dead) for one in arguments]
        )
    if current_gathering() is None:
        return enqueue(new, arguments, needs=needs)
    with _gathered() as ids:
        jobs = enqueue(_in_batch(new), arguments, needs=needs)
        ids += [job.pk for job in jobs]
    return jobs


def place_keyed(
    new: NewJob,
    arguments: Sequence[Mapping[str, Any]],
    keys: Sequence[NewKey],
    rule: ConflictRule,
    *,
    needs: Sequence[Sequence[RequiredPermit]] = (),
) -> list[Job]:
    """Do the same for jobs with keys. One that was there already stays in the batch it is in, if in any."""
    from .store.enqueue.unique import enqueue_unique

    if current_gathering() is None:
        return enqueue_unique(new, arguments, keys, rule, needs=needs)
    with _gathered() as ids:
        jobs = enqueue_unique(_in_batch(new), arguments, keys, rule, needs=needs)
        ids += [job.pk for job in jobs if not job.is_duplicate]
    return jobs


def place_nodes(nodes: Sequence[NewNode]) -> list[Job]:
    """Insert the nodes of a graph in the caller's transaction."""
    from .store.workflows.enqueue import enqueue_graph

    if current_gathering() is None:
        return enqueue_graph(nodes)
    with _gathered() as ids:
        jobs = enqueue_graph([replace(node, new=_in_batch(node.new)) for node in nodes])
        ids += [job.pk for job in jobs]
    return jobs


def place_stream(new: NewJob, texts: Iterable[str]) -> int:
    """Insert one job for each of the payload texts, all or none, a chunk at a time, and return how many were."""
    from .store.enqueue.insert import enqueue_stream

    gathering = current_gathering()
    if gathering is None:
        return sum(map(len, enqueue_stream(new, texts)))
    from .store.batches.batch import add_to_batch

    number = 0
    with _gathered():
        for ids in enqueue_stream(_in_batch(new), texts):
            add_to_batch(gathering.batch_id, ids)
            number += len(ids)
    return number


@contextmanager
def _gathered() -> Iterator[list[int]]:
    """Hold the batch that gathers here in one transaction with the block, and put what it lists into the batch."""
    from .store.batches.batch import extending_batch, record_batch_activity

    gathering = current_gathering()
    assert gathering is not None  # noqa: S101 - the callers have looked
    with extending_batch(gathering.batch_id) as ids:
        yield ids
        if gathering.is_touch_due():
            record_batch_activity(gathering.batch_id)


def _in_batch(new: NewJob) -> NewJob:
    return new._replace(flags=int(new.flags | JobFlag.IN_BATCH))
