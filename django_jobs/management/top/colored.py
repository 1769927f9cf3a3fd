"""Write a view of ``jobs top`` in colours, by rich, which is imported here only: it is the extra ``[top]``."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ...policy.health_sentence import Severity
from .view import Table, View

STYLES = {Severity.PROBLEM: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan", Severity.FINE: "green"}
STATE_STYLES = {"paused": "yellow", "stopping": "yellow", "no heartbeat": "bold red"}


def render_colored(view: View, *, width: int) -> list[str]:
    """Return the lines of a view, each at most ``width`` columns, with the sequences that colour them.

    Texts are given as ``Text``: what a job has chosen is no markup.
    """
    file = StringIO()
    console = Console(file=file, width=width, force_terminal=True, highlight=False, legacy_windows=False)
    line = {"no_wrap": True, "overflow": "ellipsis", "crop": True}
    console.print(Text(view.heading, style="bold"), **line)  # type: ignore[arg-type]
    for severity, text in view.sentences:
        console.print(Text.assemble((f"{severity.value}: ", STYLES[severity]), text), **line)  # type: ignore[arg-type]
    console.print()
    for table in view.tables:
        console.print(Text(table.title, style="bold underline"))
        console.print(_table(table))
        if table.more:
            console.print(Text(f"and {table.more} more", style="dim"))
        console.print()
    return file.getvalue().splitlines()


def _table(table: Table) -> RichTable | Text:
    if not table.rows:
        return Text(table.empty, style="dim")
    shown = RichTable(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for at, name in enumerate(table.columns):
        shown.add_column(name, justify="right" if at in table.numbers else "left", no_wrap=True, overflow="ellipsis")
    for row in table.rows:
        shown.add_row(*(Text(text, style=STATE_STYLES.get(text, "")) for text in row))
    return shown
