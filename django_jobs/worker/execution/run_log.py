"""What one run logs, on its way to the database: gathered in the job's thread, saved behind its back."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ...policy.log_lines import LogBuffer, LogExcerpt, LogLine
from ...policy.truncate import truncate
from ...store.clock import DatabaseClock
from ..threads.batch_queue import BatchQueue
from .errors import escape_unstorable

SAVE_INTERVAL_SECONDS = 0.5
"""What a run has logged is saved at most this often, and once at its end."""
MAX_NAME_LENGTH = 200
MAX_BATCH_SIZE = 1_000


class RunLog:
    """The lines of one run. ``request_save`` hears that there is something to save, and is given what returns it.

    ``taken`` marks all as saved. A line that comes after ``end`` is not kept.
    """

    __slots__ = (
        "_clock",
        "_is_ended",
        "_is_save_requested",
        "_lines",
        "_max_line_length",
        "_max_lines",
        "_on_new_lines",
        "_request_save",
        "_taken",
    )

    def __init__(
        self,
        *,
        max_lines: int,
        max_line_length: int,
        clock: DatabaseClock,
        on_new_lines: Callable[[RunLog], None],
        request_save: Callable[[Callable[[], LogExcerpt]], None],
    ) -> None:
        self._max_lines = max_lines
        self._max_line_length = max_line_length
        self._clock = clock
        self._on_new_lines = on_new_lines
        self._request_save = request_save
        self._lines: LogBuffer | None = None
        self._is_save_requested = False
        self._is_ended = False
        self._taken = 0

    def add(self, *, level: str, logger: str, message: str) -> None:
        """Take a line; returns at once."""
        if self._is_ended:
            return
        if self._lines is None:
            self._lines = LogBuffer(max_lines=self._max_lines)
        # Cut before it is cleaned, which may be long work, and after, which may have made it longer.
        text = truncate(
            escape_unstorable(truncate(message, self._max_line_length, around=" ")),
            self._max_line_length,
            around=" ",
        )
        name = escape_unstorable(logger[:MAX_NAME_LENGTH])
        self._lines.add(
            LogLine(self._clock.seconds(), escape_unstorable(level[:MAX_NAME_LENGTH]), name, text)
        )
        if not self._is_save_requested:
            self._is_save_requested = True
            self._on_new_lines(self)

    def kept(self) -> LogExcerpt:
        """Return what is kept so far."""
        return LogExcerpt([], 0, 0) if self._lines is None else self._lines.kept()

    def taken(self) -> LogExcerpt:
        """Return what is kept so far, to be saved now."""
        self._is_save_requested = False
        kept = self.kept()
        self._taken = kept.total
        return kept

    def save(self) -> None:
        """Have saved what was not yet."""
        if not self._is_ended:
            self._request_save(self.taken)

    def end(self) -> None:
        """Have saved what was not yet; no more will come."""
        self._is_ended = True
        if self._lines is not None and self.kept().total > self._taken:
            self._request_save(self.taken)

    def close(self) -> None:
        """Have nothing more saved: that was done elsewhere."""
        self._is_ended = True


class LogSaver:
    """Has the logs of all runs of a process saved, twice a second at most, by a thread that starts with the first line.

    No lock is taken where a job adds its line.
    """

    def __init__(self) -> None:
        self._inbox: BatchQueue[RunLog] = BatchQueue(max_items=MAX_BATCH_SIZE)
        self._starts = iter([threading.Thread(target=self._serve, name="jobs-logs", daemon=True)])
        self._pause = threading.Event()

    def put(self, log: RunLog) -> None:
        """Hear that a run has said something."""
        self._inbox.put(log)
        for thread in self._starts:
            thread.start()

    def _serve(self) -> None:
        while True:
            for log in set(self._inbox.take()):
                log.save()
            self._pause.wait(SAVE_INTERVAL_SECONDS)
