"""A terminal of which ``jobs top`` takes the whole screen, and that it leaves as it was."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TextIO

ENTER = "\x1b[?1049h\x1b[?25l"
"""The second screen, without a cursor."""
LEAVE = "\x1b[?25h\x1b[?1049l"
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
MAX_KEYS = 100


@contextmanager
def whole_screen(out: TextIO) -> Iterator[None]:
    """Show the second screen, and read keys one by one; at the end everything is as before, also after SIGTERM."""
    keys = sys.stdin.fileno() if sys.stdin.isatty() else None
    before = None if keys is None else termios.tcgetattr(keys)
    former = signal.signal(signal.SIGTERM, _end)
    try:
        if keys is not None:
            tty.setcbreak(keys)
        _write(out, ENTER)
        yield
    finally:
        _write(out, LEAVE)
        if keys is not None and before is not None:
            termios.tcsetattr(keys, termios.TCSADRAIN, before)
        signal.signal(signal.SIGTERM, former)


def draw(out: TextIO, lines: Sequence[str], *, height: int) -> None:
    """Show the lines from the top of the screen, without a moment at which it is empty."""
    shown = "\n".join(f"{line}{CLEAR_LINE}" for line in lines[:height])
    _write(out, f"{HOME}{shown}{CLEAR_BELOW}")


def screen_size(out: TextIO) -> tuple[int, int]:
    """Return the columns and lines of the terminal now."""
    try:
        size = os.get_terminal_size(out.fileno())
    except OSError:
        size = shutil.get_terminal_size()
    return size.columns or 80, size.lines or 24


def wait_for_key(seconds: float) -> str:
    """Wait for keys at most so long and return them; an empty text if there are none, or no keyboard."""
    sources = [sys.stdin] if sys.stdin.isatty() else []
    ready, _, _ = select.select(sources, [], [], seconds)
    return os.read(sys.stdin.fileno(), MAX_KEYS).decode("ascii", "replace") if ready else ""


def _write(out: TextIO, text: str) -> None:
    out.write(text)
    out.flush()


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
