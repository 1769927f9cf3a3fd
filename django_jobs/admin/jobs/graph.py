"""The graph around a job, drawn on the server: boxes that are links, and the same in words beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...models import Job
from ...policy.graph_layout import BOX_HEIGHT, BOX_WIDTH, draw
from ...store.dependencies.neighbours import Neighbour, neighbours
from .labels import state_words

if TYPE_CHECKING:
    from .admin import JobAdmin

LETTERS_A_LINE = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnJob:
    """A job of the graph: where its box is, and what it says. ``address`` is empty where the row is gone."""

    job_id: int
    x: int
    y: int
    name: str
    short_name: str
    state: str
    state_words: str
    address: str
    is_this: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnGraph:
    """What the template draws, and lists for those who do not see it."""

    width: int
    height: int
    jobs: tuple[DrawnJob, ...]
    lines: tuple[str, ...]
    waits_for: tuple[DrawnJob, ...]
    awaited_by: tuple[DrawnJob, ...]
    is_cut: bool
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


def drawn_graph(page: JobAdmin, job: Job) -> DrawnGraph | None:
    """Return the graph around a job; None where it waits for nothing and nothing for it."""
    around = neighbours(job.pk)
    if around is None:
        return None
    drawing = draw(around.predecessors)
    boxes = {
        box.job_id: _drawn(page, around.jobs[box.job_id], box.x, box.y, is_this=box.job_id == job.pk)
        for box in drawing.boxes
    }
    behind = (one for one, waits_for in around.predecessors.items() if job.pk in waits_for)
    return DrawnGraph(
        width=drawing.width,
        height=drawing.height,
        jobs=tuple(boxes.values()),
        lines=drawing.lines,
        waits_for=tuple(boxes[one] for one in around.predecessors[job.pk]),
        awaited_by=tuple(boxes[one] for one in behind),
        is_cut=around.is_cut,
    )


def _drawn(page: JobAdmin, one: Neighbour, x: int, y: int, *, is_this: bool) -> DrawnJob:
    last: Any = one.name.rpartition(".")[2]
    return DrawnJob(
        job_id=one.job_id,
        x=x,
        y=y,
        name=one.name,
        short_name=last if len(last) <= LETTERS_A_LINE else last[: LETTERS_A_LINE - 1] + "…",
        state=one.state,
        state_words=state_words(one.state) if one.state else "",
        address=page.url("job_change", one.job_id) if one.state else "",
        is_this=is_this,
    )
