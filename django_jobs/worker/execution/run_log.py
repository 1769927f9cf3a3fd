"""Collect the log lines of a run in the job's thread and have them saved in the background."""

from __future__ import annotations

import threading

from ...conf.kept_settings import LogSettings
from ...policy.log_lines import LogBuffer, LogExcerpt, LogLine
from ...policy.printable import escape_unstorable
from ...policy.truncate import truncate
from ...store.clock import DatabaseClock
from ...store.dialects.base.jobs import Claim
from ..threads.batch_queue import BatchQueue
from .events import LogUpdate, RunEvents

SAVE_INTERVAL_SECONDS = 0.5
"""The log of a run is saved at most this often, and once at its end."""
MAX_NAME_LENGTH = 200
MAX_BATCH_SIZE = 1_000


class RunLog:
    """The log lines of one run. ``saver`` None: they are saved only at the end."""

    __slots__ = (
        "_claim",
        "_clock",
        "_events",
        "_is_ended",
        "_is_save_requested",
        "_lines",
        "_saved",
        "_saver",
        "_settings",
    )

    def __init__(
        self,
        claim: Claim,
        *,
        settings: LogSettings,
        clock: DatabaseClock,
        events: RunEvents,
        saver: LogSaver | None,
    ) -> None:
        self._claim = claim
        self._settings = settings
        self._clock = clock
        self._events = events
        self._saver = saver
        self._lines: LogBuffer | None = None
        self._is_save_requested = False
        self._is_ended = False
        self._saved = 0

    def add(self, *, level: str, logger: str, message: str) -> None:
        """Add a line; returns at once."""
        if self._is_ended:
            return
        if self._lines is None:
            self._lines = LogBuffer(max_lines=self._settings.max_lines)
        # Truncated before the escaping, which may be long work, and after it, which may have lengthened the text.
        max_length = self._settings.max_line_length
        text = truncate(escape_unstorable(truncate(message, max_length, around=" ")), max_length, around=" ")
        name = escape_unstorable(logger[:MAX_NAME_LENGTH])
        self._lines.add(LogLine(self._clock.seconds(), escape_unstorable(level[:MAX_NAME_LENGTH]), name, text))
        if self._saver is not None and not self._is_save_requested:
            self._is_save_requested = True
            self._saver.put(self)

    def kept(self) -> LogExcerpt:
        """Return the lines kept so far."""
        return LogExcerpt([], 0, 0) if self._lines is None else self._lines.kept()

    def take_unsaved(self) -> LogExcerpt:
        """Return the lines kept so far and mark them as saved."""
        self._is_save_requested = False
        kept = self.kept()
        self._saved = kept.total
        return kept

    def save(self) -> None:
        """Have new lines saved, unless the run has ended."""
        if not self._is_ended:
            self._request_save()

    def end(self) -> None:
        """Have new lines saved and drop later ones."""
        self._is_ended = True
        if self._lines is not None and self.kept().total > self._saved:
            self._request_save()

    def close(self) -> None:
        """Save nothing more: the caller has saved the log."""
        self._is_ended = True

    def _request_save(self) -> None:
        self._events.progress(LogUpdate(self._claim, self.take_unsaved))


class LogSaver:
    """Saves the logs of all runs of a process, at most twice a second; its thread starts with the first line.

    Adding a line takes no lock.
    """

    def __init__(self) -> None:
        self._queue: BatchQueue[RunLog] = BatchQueue(max_items=MAX_BATCH_SIZE)
        self._unstarted = iter([threading.Thread(target=self._serve, name="jobs-logs", daemon=True)])
        self._pause = threading.Event()

    def put(self, log: RunLog) -> None:
        """Save this log in the next round."""
        self._queue.put(log)
        for thread in self._unstarted:
            thread.start()

    def close(self) -> None:
        """End the thread."""
        self._queue.close()
        self._pause.set()

    def _serve(self) -> None:
        while not self._queue.is_ended:
            for log in set(self._queue.take()):
                log.save()
            self._pause.wait(SAVE_INTERVAL_SECONDS)
