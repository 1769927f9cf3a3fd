"""Links: what else has to be seen to when a job ends, as bits that travel with its claim."""

from __future__ import annotations

from enum import IntFlag


class Links(IntFlag):
    """A job without any pays nothing: its finish looks at nothing but this number.

    LIMITED: it needs permits of limits. AWAITED: other jobs wait for it. BATCHED: it belongs to a batch. ASKED: it was
    asked to end while it ran, and is not to run again. EXPIRES: it is of use only until an instant.
    KEPT: its result has a time to live, or a file; set when it has succeeded.
    """

    NONE = 0
    LIMITED = 1
    AWAITED = 2
    BATCHED = 4
    ASKED = 8
    EXPIRES = 16
    KEPT = 32


TO_OTHERS = int(Links.LIMITED | Links.AWAITED | Links.BATCHED)
"""Those by which the end of a job may let others run."""
STAY = 0x7FFF ^ int(Links.ASKED | Links.EXPIRES)
"""Those that stay with a job that staff begin anew."""
