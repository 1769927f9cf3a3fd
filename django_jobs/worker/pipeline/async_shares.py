"""Estimate the share of async jobs in each queue: a claim cannot choose between them and plain ones."""

from __future__ import annotations

from ... import registry

MAX_REMEMBERED_QUEUES = 100_000
_SMOOTHING = 0.2
_MIN_SHARE = 0.001


class AsyncShares:
    """Shares from 0 to 1, by queue. ``isolates_all``: no job counts as async, since all run in job processes."""

    def __init__(self, *, isolates_all: bool) -> None:
        self._isolates_all = isolates_all
        self._shares: dict[str, float | None] = {}

    def expected(self, queue_name: str) -> float | None:
        """Return the share in a queue: of its definitions at first, then of its recent claims.

        Of a queue without definitions of its own, all definitions. None: not known; claim one job to find out.
        """
        if queue_name not in self._shares:
            if len(self._shares) >= MAX_REMEMBERED_QUEUES:
                self._shares.clear()
            self._shares[queue_name] = self._defined(queue_name)
        return self._shares[queue_name]

    def record(self, queue_name: str, share: float) -> None:
        """Add the share in a claim from this queue."""
        before = self.expected(queue_name)
        moved = share if before is None else before + _SMOOTHING * (share - before)
        self._shares[queue_name] = 0.0 if moved < _MIN_SHARE else moved

    def _defined(self, queue_name: str) -> float | None:
        definitions = [
            (definition.options.resolve("queue_name"), definition.is_async and not self._isolates_all)
            for definition in registry.all_definitions()
        ]
        own = [is_async for name, is_async in definitions if name == queue_name]
        if own:
            return sum(own) / len(own)
        kinds = {is_async for _, is_async in definitions}
        return float(kinds.pop()) if len(kinds) == 1 else None
