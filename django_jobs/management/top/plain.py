"""Write a view of ``jobs top`` as plain text."""

from __future__ import annotations

import unicodedata

from .view import Table, View

GAP = "  "


def render_plain(view: View, *, width: int | None) -> list[str]:
    """Return the lines of a view; those that are longer than ``width`` are cut."""
    lines = [view.heading, *(f"{severity.value}: {text}" for severity, text in view.sentences), ""]
    for table in view.tables:
        lines += _table_lines(table)
    return lines if width is None else [cut(line, width) for line in lines]


def cut(text: str, width: int) -> str:
    """Return as much of ``text`` as takes at most so many columns of a terminal."""
    if text.isascii():
        return text[:width]
    taken = 0
    for at, character in enumerate(text):
        taken += columns_of(character)
        if taken > width:
            return text[:at]
    return text


def columns_of(text: str) -> int:
    """Return how many columns of a terminal the text takes: wide characters two, marks above others none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def _table_lines(table: Table) -> list[str]:
    cells = [table.columns, *table.rows]
    widths = [max(columns_of(row[at]) for row in cells) for at in range(len(table.columns))]
    lines = [GAP.join(_aligned(table, at, text, widths[at]) for at, text in enumerate(row)).rstrip() for row in cells]
    if not table.rows:
        lines.append(table.empty)
    if table.more:
        lines.append(f"and {table.more} more")
    return [table.title.upper(), *lines, ""]


def _aligned(table: Table, at: int, text: str, width: int) -> str:
    space = " " * (width - columns_of(text))
    return space + text if at in table.numbers else text + space
