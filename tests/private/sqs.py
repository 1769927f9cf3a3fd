"""SQS by ministack, with a clock that a test may put forward: what is hidden from other consumers shows again.

Its faults: a message is measured without its attributes, credentials are not looked at, and nobody is throttled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.required import is_missing

from .ministack import CREDENTIALS, REGION, PrivateMinistack

__all__ = ["CREDENTIALS", "HIDDEN_SECONDS", "MAX_BYTES", "REGION", "PrivateSQS"]

MAX_BYTES = 262_144
"""What a queue takes unless it is created otherwise."""
HIDDEN_SECONDS = 30


class PrivateSQS(PrivateMinistack):
    """Queues in memory. ``has_clock``: its time can be put forward, which makes it slower by a third."""

    service = "sqs"

    def __init__(self, *, has_clock: bool = True) -> None:
        self._has_clock = has_clock
        super().__init__()

    def _make(self) -> None:
        super()._make()
        if not self._has_clock:
            return
        library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
        if library is None:
            is_missing("libfaketime (Debian: faketime)")
        self._library = library
        self._clock = self.folder / "clock"
        self._ahead_seconds = 0
        self.pass_time(0)

    def _variables(self) -> Mapping[str, object]:
        if not self._has_clock:
            return {}
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": self._clock,
            "FAKETIME_NO_CACHE": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
            "FAKETIME_FORCE_MONOTONIC_FIX": 0,
        }

    def pass_time(self, seconds: int) -> None:
        """Put the server's clock forward."""
        self._ahead_seconds += seconds
        written = self._clock.with_suffix(".new")
        written.write_text(f"+{self._ahead_seconds}s\n")
        written.replace(self._clock)

    def create_queue(self, name: str, **attributes: str) -> None:
        """Create a queue, a FIFO queue if its name says so."""
        self.client.create_queue(QueueName=name, Attributes=attributes)
