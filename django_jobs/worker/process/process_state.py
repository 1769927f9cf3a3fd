"""State of another process, from ``/proc``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class ProcessState(NamedTuple):
    """``is_frozen``: stopped by a signal or a debugger. ``ticks``: the processor time that it has used."""

    is_frozen: bool
    ticks: int


def read_process_state(pid: int) -> ProcessState | None:
    """Return the state of a process; None if it is gone, or on systems without ``/proc``."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # proc(5): the name, in parentheses, may contain anything.
    fields = stat.rpartition(")")[2].split()
    return ProcessState(is_frozen=fields[0] in {"T", "t"}, ticks=int(fields[11]) + int(fields[12]))
