"""Links: what else has to be seen to when a job ends, as bits that travel with its claim."""

from __future__ import annotations

from enum import IntFlag


class Links(IntFlag):
    """A job without any pays nothing: its finish looks at nothing but this number.

    LIMITED: it needs permits of limits. AWAITED: other jobs wait for it. BATCHED: it belongs to a batch.
    """

    NONE = 0
    LIMITED = 1
    AWAITED = 2
    BATCHED = 4
