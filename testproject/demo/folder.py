"""The folder where a demo leaves all that it makes."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from .errors import DemoFailed

MARK = ".django_jobs-demo"


class OutputFolder:
    """``shop.sqlite3``, ``media/``, ``mails/`` and the logs of one demo; the next one starts it afresh."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.media = self.path / "media"
        self.mails = self.path / "mails"
        self.worker_log = self.path / "worker.log"
        self.consumer_log = self.path / "consumer.log"
        self.web_log = self.path / "web.log"
        self._mark: IO[str] | None = None

    def __enter__(self) -> Self:
        """Make or empty the folder and keep other demos out of it until the end of the ``with``.

        Raises DemoFailed where the folder holds something that no demo has put there.
        """
        mark = self.path / MARK
        if self.path.exists() and any(self.path.iterdir()) and not mark.exists():
            raise DemoFailed(f"{self.path} has files in it that are not a demo's; choose another --output")
        self.path.mkdir(parents=True, exist_ok=True)
        self._mark = mark.open("a")
        try:
            fcntl.flock(self._mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFailed(f"another demo is at work in {self.path}; stop it or choose another --output") from None
        for entry in self.path.iterdir():
            if entry.name == MARK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        self.media.mkdir()
        self.mails.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mark is not None:
            self._mark.close()
