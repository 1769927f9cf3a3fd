"""Layout of a drawn graph: boxes in columns from left to right, each after the jobs that it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .graph import layers

BOX_WIDTH, BOX_HEIGHT = 168, 40
GAP_X, GAP_Y = 56, 14
MARGIN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A job's position in pixels; ``x`` and ``y`` are the upper left corner."""

    job_id: int
    x: int
    y: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphLayout:
    """Size of the drawing, its boxes, and the edges between them as SVG paths."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[str, ...]


def layout_graph(predecessors: Mapping[int, Sequence[int]]) -> GraphLayout:
    """Return the layout of jobs by id. Edges to ids that are not keys, and edges backwards, are left out."""
    columns = layers(predecessors)
    tallest = max((len(column) for column in columns), default=0)
    places = {
        job_id: (at_x, _top(row, len(column), tallest))
        for at_x, column in zip(_steps(len(columns), BOX_WIDTH + GAP_X), columns, strict=True)
        for row, job_id in enumerate(column)
    }
    lines = (
        _edge_path(places[predecessor], places[job_id])
        for job_id, waits_for in predecessors.items()
        for predecessor in waits_for
        if predecessor in places and places[predecessor][0] < places[job_id][0]
    )
    return GraphLayout(
        width=2 * MARGIN + max(len(columns) * (BOX_WIDTH + GAP_X) - GAP_X, 0),
        height=2 * MARGIN + max(tallest * (BOX_HEIGHT + GAP_Y) - GAP_Y, 0),
        boxes=tuple(Box(job_id=job_id, x=x, y=y) for job_id, (x, y) in places.items()),
        lines=tuple(lines),
    )


def _steps(number: int, width: int) -> list[int]:
    return [MARGIN + at * width for at in range(number)]


def _top(row: int, rows: int, tallest: int) -> int:
    """Return the top of a box; columns are centred on the tallest."""
    step = BOX_HEIGHT + GAP_Y
    return MARGIN + (tallest - rows) * step // 2 + row * step


def _edge_path(start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return a curve from the right side of one box to the left side of another."""
    x, y = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT // 2
    to_x, to_y = end[0], end[1] + BOX_HEIGHT // 2
    middle = GAP_X // 2
    return f"M{x} {y}C{x + middle} {y} {to_x - middle} {to_y} {to_x} {to_y}"
