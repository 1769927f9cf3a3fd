"""What one run logs, on its way to the database: gathered in the job's thread, saved behind its back."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ...policy.log_lines import KeptLines, LogLine, LogLines
from ...policy.truncate import cut
from ...store.clock import DatabaseClock
from ..threads.batch_queue import Inbox
from .errors import clean

SAVE_SECONDS = 0.5
"""What a run has logged is saved at most this often, and once at its end."""
MAX_NAME_LENGTH = 200
MOST_AT_ONCE = 1_000


class RunLog:
    """The lines of one run. ``tell`` hears that there is something to save, and is given what returns it.

    ``taken`` marks all as saved. A line that comes after ``end`` is not kept.
    """

    __slots__ = ("_clock", "_is_ended", "_is_told", "_lines", "_longest", "_most", "_news", "_taken", "_tell")

    def __init__(
        self,
        *,
        most: int,
        longest: int,
        clock: DatabaseClock,
        news: Callable[[RunLog], None],
        tell: Callable[[Callable[[], KeptLines]], None],
    ) -> None:
        self._most = most
        self._longest = longest
        self._clock = clock
        self._news = news
        self._tell = tell
        self._lines: LogLines | None = None
        self._is_told = False
        self._is_ended = False
        self._taken = 0

    def add(self, *, level: str, logger: str, message: str) -> None:
        """Take a line; returns at once."""
        if self._is_ended:
            return
        if self._lines is None:
            self._lines = LogLines(most=self._most)
        # Cut before it is cleaned, which may be long work, and after, which may have made it longer.
        text = cut(clean(cut(message, self._longest, around=" ")), self._longest, around=" ")
        name = clean(logger[:MAX_NAME_LENGTH])
        self._lines.add(LogLine(self._clock.seconds(), clean(level[:MAX_NAME_LENGTH]), name, text))
        if not self._is_told:
            self._is_told = True
            self._news(self)

    def kept(self) -> KeptLines:
        """Return what is kept so far."""
        return KeptLines([], 0, 0) if self._lines is None else self._lines.kept()

    def taken(self) -> KeptLines:
        """Return what is kept so far, to be saved now."""
        self._is_told = False
        kept = self.kept()
        self._taken = kept.total
        return kept

    def save(self) -> None:
        """Have saved what was not yet."""
        if not self._is_ended:
            self._tell(self.taken)

    def end(self) -> None:
        """Have saved what was not yet; no more will come."""
        self._is_ended = True
        if self._lines is not None and self.kept().total > self._taken:
            self._tell(self.taken)

    def close(self) -> None:
        """Have nothing more saved: that was done elsewhere."""
        self._is_ended = True


class LogSaver:
    """Has the logs of all runs of a process saved, twice a second at most, by a thread that starts with the first line.

    No lock is taken where a job adds its line.
    """

    def __init__(self) -> None:
        self._inbox: Inbox[RunLog] = Inbox(most=MOST_AT_ONCE)
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
            self._pause.wait(SAVE_SECONDS)
