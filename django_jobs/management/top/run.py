"""Read and show, again and again, until q or Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TextIO

from django.core.management.base import CommandError
from django.db import Error as DatabaseError

from ...conf import get_settings
from ...conf.database import current_database
from ...store.dialects import open_dialect
from ...store.readiness import explain
from ...store.stats.dashboard import DashboardSnapshot, dashboard_snapshot
from ..each_database import read_databases
from ..rows import as_json
from .plain import render_plain
from .terminal import draw, screen_size, wait_for_key, whole_screen
from .view import View, as_row, join_views, make_view, problem_view

MIN_INTERVAL, MAX_INTERVAL = 0.1, 3600
Read = Callable[[], View]
Render = Callable[[View, int], list[str]]


def as_interval(text: str) -> float:
    """Return the seconds between two reads. Raises CommandError."""
    with suppress(ValueError):
        if MIN_INTERVAL <= (seconds := float(text)) <= MAX_INTERVAL:
            return seconds
    raise CommandError(f"--interval: expected seconds from {MIN_INTERVAL} to {MAX_INTERVAL}, got {text!r}")


def run_top(
    out: TextIO, *, interval: float, is_once: bool, is_plain: bool, is_json: bool, is_of_several: bool = False
) -> None:
    """Show the view every ``interval`` seconds. Raises DatabaseError if the first read fails.

    ``is_of_several``: of all databases of jobs; raises CommandError if none answers the first read.

    In a terminal it takes the whole screen. Otherwise, and as JSON, each view is a block of its own.
    """
    is_screen = out.isatty() and not is_once and not is_json
    note = "" if is_once else f"every {interval:g} s{', q: quit' if is_screen else ''}"
    read = partial(read_joint_view if is_of_several else read_view, note)
    first = read_joint_view(note, is_first=True) if is_of_several else make_view(dashboard_snapshot(), note=note)
    with suppress(KeyboardInterrupt):
        if not is_screen:
            _print_blocks(out, first, read, interval=interval, is_once=is_once, is_json=is_json)
        else:
            _take_screen(out, first, read, interval=interval, render=choose_renderer(is_plain=is_plain))


def choose_renderer(*, is_plain: bool) -> Render:
    """Return the renderer of a terminal: in colours if rich is installed and plain text is not wanted."""
    if not is_plain:
        with suppress(ImportError):
            from .colored import render_colored

            return lambda view, width: render_colored(view, width=width)
    return lambda view, width: render_plain(view, width=width)


def _print_blocks(out: TextIO, view: View, read: Read, *, interval: float, is_once: bool, is_json: bool) -> None:
    while True:
        out.write(as_json(as_row(view)) if is_json else "\n".join(render_plain(view, width=None)))
        out.write("\n")
        out.flush()
        if is_once:
            return
        wait_for_key(interval)
        view = read()


def _take_screen(out: TextIO, view: View, read: Read, *, interval: float, render: Render) -> None:
    with whole_screen(out):
        while True:
            width, height = screen_size(out)
            draw(out, render(view.fit(height), width), height=height)
            if "q" in wait_for_key(interval).lower():
                return
            view = read()


def read_view(note: str) -> View:
    """Return the next view. A database that cannot be used is said, and tried again the next time."""
    try:
        return make_view(dashboard_snapshot(), note=note)
    except DatabaseError as error:
        using = current_database()
        _, connection = open_dialect(using)
        connection.close()
        return problem_view(explain(error, using=using), note=note)


def read_joint_view(note: str, *, is_first: bool = False) -> View:
    """Return the next view of all databases. Raises CommandError if none answers and it is the first."""
    answers = read_databases(partial(_read_with_view, note))
    if is_first:
        answers.check()
    views = {
        alias: answers.read[alias][1] if alias in answers.read else problem_view(answers.down[alias], note=note)
        for alias in get_settings().aliases
    }
    return join_views(views, [stats for stats, _ in answers.read.values()], note=note)


def _read_with_view(note: str) -> tuple[DashboardSnapshot, View]:
    stats = dashboard_snapshot()
    return stats, make_view(stats, note=note)
