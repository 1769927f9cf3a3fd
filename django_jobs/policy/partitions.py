"""Share the partitions of a log: what a consumer takes, keeps or releases, so that all have equally many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class PartitionShare(NamedTuple):
    """The partitions that a consumer takes now, and those of its own that it releases."""

    take: tuple[str, ...]
    release: tuple[str, ...]


def partition_share(
    *, all_partitions: Sequence[str], owned: Sequence[str], free: Sequence[str], consumers: int
) -> PartitionShare:
    """Return the change for one of so many living consumers.

    ``free``: partitions that nobody owns. Each consumer has the rounded-up share at most, so that all partitions are
    read, and releases what it has above it: a consumer that has joined takes that at its next round.
    """
    share = -(-len(all_partitions) // max(consumers, 1))
    kept = sorted(set(owned) & set(all_partitions))
    gone = sorted(set(owned) - set(all_partitions))
    room = max(share - len(kept), 0)
    return PartitionShare(take=tuple(sorted(free)[:room]), release=(*kept[share:], *gone))
