"""How chunks form: by size, by wait, by key; one job alone after a death."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from datetime import timedelta

from django_jobs import Chunk
from django_jobs.store.dialects.base.jobs import Claim
from django_jobs.worker.executors.chunks import ChunkQueue, ClaimedChunk
from tests.concurrency import wait_until

LONG = timedelta(minutes=1)
_ids = itertools.count(1)


def _claim(tenant: str = "", *, name: str = "index", worker_deaths: int = 0) -> Claim:
    arguments = f'{{"argument": {{"tenant": "{tenant}"}}}}'
    return Claim(next(_ids), 1, name, "default", 0, 1, 5, arguments, "{}", 0.0, 0.0, None, 0.0, worker_deaths)


class Submitted:
    """A queue, and the chunks that it has submitted."""

    def __init__(self) -> None:
        self.chunks: list[ClaimedChunk] = []
        self.queue = ChunkQueue(self.submit, lambda role: None)

    def submit(self, chunks: Iterable[ClaimedChunk]) -> None:
        self.chunks += chunks

    def add(self, chunk: Chunk, *claims: Claim) -> None:
        self.queue.add((claim, chunk) for claim in claims)

    @property
    def sizes(self) -> list[int]:
        return [len(chunk.claims) for chunk in self.chunks]


def test_without_a_wait_a_chunk_is_what_is_there() -> None:
    submitted = Submitted()
    submitted.add(Chunk(3), *(_claim() for _ in range(7)))
    assert submitted.sizes == [3, 3, 1]


def test_a_submitted_chunk_takes_more_until_it_starts() -> None:
    submitted = Submitted()
    submitted.add(Chunk(3), _claim())
    submitted.add(Chunk(3), _claim())
    assert submitted.sizes == [2]
    assert len(submitted.chunks[0].start()) == 2
    submitted.add(Chunk(3), _claim())
    assert submitted.sizes == [2, 1]


def test_a_chunk_waits_until_it_is_full() -> None:
    submitted = Submitted()
    submitted.add(Chunk(2, wait=LONG), _claim())
    assert (submitted.sizes, [len(chunk.claims) for chunk in submitted.queue.filling()]) == ([], [1])
    submitted.add(Chunk(2, wait=LONG), _claim())
    assert (submitted.sizes, submitted.queue.filling()) == ([2], [])
    submitted.queue.close()


def test_a_chunk_is_submitted_when_its_wait_is_over() -> None:
    submitted = Submitted()
    submitted.add(Chunk(2, wait=timedelta(milliseconds=1)), _claim())
    wait_until(lambda: submitted.sizes == [1], "the chunk to be submitted")
    submitted.queue.close()


def test_only_jobs_of_one_name_and_key_share_a_chunk() -> None:
    submitted = Submitted()
    by_tenant = Chunk(9, by=("tenant",))
    submitted.add(by_tenant, _claim("a"), _claim("b"), _claim("a"), _claim("a", name="other"))
    assert sorted(submitted.sizes) == [1, 1, 2]


def test_a_job_during_which_a_worker_died_is_a_chunk_of_its_own() -> None:
    submitted = Submitted()
    submitted.add(Chunk(9, wait=LONG), _claim(worker_deaths=1), _claim(worker_deaths=1), _claim())
    assert submitted.sizes == [1, 1]
    submitted.queue.close()


def test_a_claim_is_removed_only_before_its_chunk_starts() -> None:
    submitted, first, second = Submitted(), _claim(), _claim()
    submitted.add(Chunk(9, wait=LONG), first, second)
    assert submitted.queue.remove(first)
    assert not submitted.queue.remove(first)
    assert submitted.queue.take_all() == [second]
    chunk = ClaimedChunk("index", size=2, due_at=0)
    chunk.add(first)
    assert chunk.start() == [first]
    assert (chunk.remove(first), chunk.take(), chunk.claims) == (False, [], [first])
    submitted.queue.close()


def test_no_claim_is_lost_or_doubled_between_adding_and_starting() -> None:
    submitted, started = Submitted(), []
    claims = [_claim() for _ in range(2_000)]
    is_over = threading.Event()

    def start_all() -> None:
        seen = 0
        while not is_over.is_set() or seen < len(submitted.chunks):
            for chunk in submitted.chunks[seen:]:
                started.extend(chunk.start())
                seen += 1

    thread = threading.Thread(target=start_all)
    thread.start()
    for claim in claims:
        submitted.add(Chunk(7), claim)
    is_over.set()
    thread.join()
    assert sorted(claim.job_id for claim in started) == [claim.job_id for claim in claims]
