"""Show the queue at work: a live picture on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from django_jobs.models import Job
from django_jobs.policy.states import State

from .events import plain_name, short
from .snapshot import Snapshot, seconds_until

SHOWN = [State.SCHEDULED, State.READY, State.RUNNING, State.SUCCEEDED, State.DEAD]
STYLES = {
    State.SCHEDULED: "cyan",
    State.READY: "blue",
    State.RUNNING: "yellow",
    State.SUCCEEDED: "green",
    State.DEAD: "red",
}
BAR_WIDTH = 40
MOST_ROWS = 6
LINE_SECONDS = 1.0


class Display(Protocol):
    """Used in a ``with``: takes snapshots as they come, and lines in between."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, snapshot: Snapshot) -> None:
        """Show how things stand."""

    def say(self, line: str, style: str) -> None:
        """Say what has happened."""


def display_for(console: Console) -> Display:
    """Return what suits ``console``."""
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


class PlainDisplay:
    """A line a second at most, and only where the counts have changed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._said_at = float("-inf")
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._console.file.flush()

    def show(self, snapshot: Snapshot) -> None:
        now = time.monotonic()
        counts = "  ".join(f"{state.value} {snapshot.counts.get(state, 0)}" for state in SHOWN)
        if counts != self._said and (now - self._said_at >= LINE_SECONDS or snapshot.is_settled):
            self._said, self._said_at = counts, now
            self._print(counts)

    def say(self, line: str, style: str) -> None:
        self._print(line)

    def _print(self, line: str) -> None:
        seconds = time.monotonic() - self._began
        self._console.print(f"{seconds:6.1f} s  {line}", highlight=False, markup=False, soft_wrap=True)


class LiveDisplay:
    """Counts by state, what runs and how far it is, and the tries to come; events scroll by above."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=10, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, snapshot: Snapshot) -> None:
        self._live.update(_picture(snapshot))

    def say(self, line: str, style: str) -> None:
        self._console.print(Text(f"  {line}", style=style), no_wrap=True, overflow="ellipsis")


def _picture(snapshot: Snapshot) -> RenderableType:
    parts: list[RenderableType] = [Text(), _counts(snapshot)]
    if snapshot.running:
        parts += [Text("\nRunning", style="bold"), _running(snapshot)]
    if snapshot.retries:
        parts += [Text("\nTries to come", style="bold"), _retries(snapshot)]
    if snapshot.dead_letters:
        parts += [Text("\nDead letters", style="bold"), _dead_letters(snapshot)]
    return Group(*parts)


def _counts(snapshot: Snapshot) -> Table:
    table = Table.grid(padding=(0, 2))
    for state in SHOWN:
        number = snapshot.counts.get(state, 0)
        filled = -(-number * BAR_WIDTH // max(snapshot.total, 1))
        table.add_row(f"  {state.value}", f"{number:>3}", Text("█" * filled, style=STYLES[state]))
    return table


def _running(snapshot: Snapshot) -> Table:
    table = Table.grid(padding=(0, 2))
    for job in snapshot.running[:MOST_ROWS]:
        table.add_row(f"  {plain_name(job.name)} #{job.pk}", _progress(job), job.progress_message)
    return _with_rest(table, len(snapshot.running))


def _progress(job: Job) -> RenderableType:
    if not job.progress_total:
        return ""
    return ProgressBar(total=job.progress_total, completed=job.progress_done or 0, width=BAR_WIDTH // 2)


def _retries(snapshot: Snapshot) -> Table:
    table = Table.grid(padding=(0, 2))
    for one in snapshot.retries[:MOST_ROWS]:
        job = one.job
        table.add_row(
            f"  {plain_name(job.name)} #{job.pk}",
            f"try {job.attempt + 1} of {job.max_attempts} in {seconds_until(job.run_after):.1f} s",
            Text(short(one.error_message, 60), style="yellow"),
        )
    return _with_rest(table, len(snapshot.retries))


def _dead_letters(snapshot: Snapshot) -> Table:
    table = Table.grid(padding=(0, 2))
    for letter in snapshot.dead_letters[:MOST_ROWS]:
        table.add_row(
            f"  {plain_name(letter.job_name)} #{letter.job_id}",
            letter.reason,
            Text(short(letter.error_message, 60), style="red"),
        )
    return _with_rest(table, len(snapshot.dead_letters))


def _with_rest(table: Table, number: int) -> Table:
    """Say in a last row how many are not shown: the picture has to fit on a screen."""
    if number > MOST_ROWS:
        table.add_row(f"  and {number - MOST_ROWS} more")
    return table
