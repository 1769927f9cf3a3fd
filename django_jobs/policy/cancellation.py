"""The result of a cancel."""

from __future__ import annotations

from typing import NamedTuple


class CancelResult(NamedTuple):
    """Outcome of a cancel. True if anything was changed.

    ``cancelled`` counts jobs that waited and are cancelled now. ``requested`` counts running jobs that are asked to
    stop and had not been asked before.
    """

    cancelled: int = 0
    requested: int = 0

    def __bool__(self) -> bool:
        return any(self)

    def plus(self, other: CancelResult) -> CancelResult:
        """Return the sums of both counts."""
        return CancelResult(self.cancelled + other.cancelled, self.requested + other.requested)
