"""Split messages into the requests that SQS takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

MAX_ENTRIES = 10
"""Of every batch request: sending, acknowledging, releasing."""
MAX_BATCH_BYTES = 256 * 1024
"""SQS took so much in a request until August 2025, and many servers of its protocol still do. A larger message is a
request of its own."""


def split(sizes: Mapping[int, int]) -> Iterator[list[int]]:
    """Yield the keys of ``sizes``, in their order, in batches by number and by the sum of bytes."""
    batch: list[int] = []
    total = 0
    for index, size in sizes.items():
        if batch and (len(batch) == MAX_ENTRIES or total + size > MAX_BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(index)
        total += size
    if batch:
        yield batch
