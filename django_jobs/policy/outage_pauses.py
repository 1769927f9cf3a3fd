"""How long to wait before a broker or a notifier that did not answer is tried once more: growing pauses."""

from __future__ import annotations

FIRST_SECONDS, MAX_SECONDS = 1.0, 60.0
MAX_TEST_PAUSE_SECONDS = 10.0
TEST_SECONDS = 60.0
"""How long the answer to a test is waited for, until another is made: the worker of the first may be dead."""


def outage_pause(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row: 1, 2, 4 ... 60."""
    return min(FIRST_SECONDS * 2.0 ** min(max(failures - 1, 0), 16), MAX_SECONDS)


def pause_until_test(down_seconds: float) -> float:
    """Return the seconds until a broker that has been down for so long is tested: about as long again, 1 to 10 s.

    A test is cheap: one message of all workers together, one connection of each source's consumer. What waits goes on
    soon after the broker is back.
    """
    return min(max(down_seconds, FIRST_SECONDS), MAX_TEST_PAUSE_SECONDS)
