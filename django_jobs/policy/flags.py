"""JobFlag: what else has to be seen to when a job ends, as bits that travel with its claim."""

from __future__ import annotations

from enum import IntFlag


class JobFlag(IntFlag):
    """A job without any pays nothing: its finish looks at nothing but this number.

    LIMITED: it needs permits of limits. HAS_DEPENDENTS: other jobs wait for it. IN_BATCH: it belongs to a batch. CANCEL_REQUESTED: it was
    asked to end while it ran, and is not to run again. EXPIRES: it is of use only until an instant.
    HAS_RESULT_RETENTION: its result has a time to live, or a file; set when it has succeeded.
    """

    NONE = 0
    LIMITED = 1
    HAS_DEPENDENTS = 2
    IN_BATCH = 4
    CANCEL_REQUESTED = 8
    EXPIRES = 16
    HAS_RESULT_RETENTION = 32


AFFECTS_OTHERS = int(JobFlag.LIMITED | JobFlag.HAS_DEPENDENTS | JobFlag.IN_BATCH)
"""Those by which the end of a job may let others run."""
PERSISTENT_FLAGS = 0x7FFF ^ int(JobFlag.CANCEL_REQUESTED | JobFlag.EXPIRES)
"""Those that stay with a job that staff begin anew."""
