"""Flags of a job that tell the finish which other tables to update; claims carry them."""

from __future__ import annotations

from enum import IntFlag


class JobFlag(IntFlag):
    """Bits of the column ``flags``. The finish of a job without any reads no other table.

    LIMITED: it needs permits of limits.
    HAS_DEPENDENTS: other jobs wait for it.
    IN_BATCH: it belongs to a batch.
    CANCEL_REQUESTED: cancellation was requested while it ran; it does not run again.
    EXPIRES: it has a time after which it does not start.
    HAS_RESULT_RETENTION: its result has a time to live or a file; set when it succeeds.
    """

    NONE = 0
    LIMITED = 1
    HAS_DEPENDENTS = 2
    IN_BATCH = 4
    CANCEL_REQUESTED = 8
    EXPIRES = 16
    HAS_RESULT_RETENTION = 32


AFFECTS_OTHERS = int(JobFlag.LIMITED | JobFlag.HAS_DEPENDENTS | JobFlag.IN_BATCH)
"""Flags of jobs whose end may make other jobs ready."""
PERSISTENT_FLAGS = 0x7FFF ^ int(JobFlag.CANCEL_REQUESTED | JobFlag.EXPIRES)
"""Flags that a job keeps when it is redriven."""
