"""Read from ``/proc`` what a process and its descendants use; nothing is told where there is none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

PROC = Path("/proc")
NANOSECONDS = 1_000_000_000


def descendants(pid: int) -> list[int]:
    """Return the process and its descendants."""
    if not PROC.exists():
        return []
    parents = {int(stat.parent.name): _parent(stat) for stat in PROC.glob("[0-9]*/stat")}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def cpu_seconds(pids: Sequence[int]) -> float | None:
    """Return the CPU time of all threads of the processes, those that have ended included."""
    return sum(_ticks(PROC / str(pid) / "stat") for pid in pids) if pids else None


def pss_mib(pids: Sequence[int]) -> float | None:
    """Return the memory of the processes; a page that several share counts once, in parts."""
    return sum(_mib(pid, "smaps_rollup", "Pss") for pid in pids) if pids else None


def peak_mib(pid: int) -> float | None:
    """Return the most memory that the process has ever had in use."""
    return _mib(pid, "status", "VmHWM") if PROC.exists() else None


def thread_cpu_seconds(task: int) -> float | None:
    """Return the CPU time of one thread (a process: of its first), in nanoseconds where the kernel tells these."""
    try:
        return int((PROC / str(task) / "schedstat").read_text().split()[0]) / NANOSECONDS
    except (OSError, IndexError, ValueError):
        return _ticks(PROC / str(task) / "task" / str(task) / "stat")


def program(task: int) -> str:
    """Return the name of the program that the process or thread runs."""
    try:
        return (PROC / str(task) / "comm").read_text().strip()
    except OSError:
        return ""


def _parent(stat: Path) -> int:
    fields = _fields(stat)
    return int(fields[1]) if fields else 0


def _ticks(stat: Path) -> float:
    fields = _fields(stat)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _fields(stat: Path) -> list[str]:
    """Return what follows the command's name, which may itself hold spaces: proc(5), state first."""
    try:
        return stat.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _mib(pid: int, file: str, name: str) -> float:
    try:
        lines = (PROC / str(pid) / file).read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))
