"""The graph around a job, drawn on the server: boxes that are links, and the same in words beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...models import Job
from ...policy.graph_layout import BOX_HEIGHT, BOX_WIDTH, layout_graph
from ...store.dependencies.neighbours import Neighbour, neighbours
from .labels import state_label

if TYPE_CHECKING:
    from .admin import JobAdmin

MAX_NAME_CHARS = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNode:
    """A job of the graph: where its box is, and what it says. ``url`` is empty where the row is gone."""

    job_id: int
    x: int
    y: int
    name: str
    short_name: str
    state: str
    state_label: str
    url: str
    is_this: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobGraph:
    """What the template draws, and lists for those who do not see it."""

    width: int
    height: int
    jobs: tuple[JobNode, ...]
    lines: tuple[str, ...]
    predecessors: tuple[JobNode, ...]
    successors: tuple[JobNode, ...]
    is_truncated: bool
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


def build_job_graph(model_admin: JobAdmin, job: Job) -> JobGraph | None:
    """Return the graph around a job; None where it waits for nothing and nothing for it."""
    around = neighbours(job.pk)
    if around is None:
        return None
    drawing = layout_graph(around.predecessors)
    boxes = {
        box.job_id: _build_node(
            model_admin, around.jobs[box.job_id], box.x, box.y, is_this=box.job_id == job.pk
        )
        for box in drawing.boxes
    }
    behind = (one for one, predecessors in around.predecessors.items() if job.pk in predecessors)
    return JobGraph(
        width=drawing.width,
        height=drawing.height,
        jobs=tuple(boxes.values()),
        lines=drawing.lines,
        predecessors=tuple(boxes[one] for one in around.predecessors[job.pk]),
        successors=tuple(boxes[one] for one in behind),
        is_truncated=around.is_truncated,
    )


def _build_node(model_admin: JobAdmin, one: Neighbour, x: int, y: int, *, is_this: bool) -> JobNode:
    last: Any = one.name.rpartition(".")[2]
    return JobNode(
        job_id=one.job_id,
        x=x,
        y=y,
        name=one.name,
        short_name=last if len(last) <= MAX_NAME_CHARS else last[: MAX_NAME_CHARS - 1] + "…",
        state=one.state,
        state_label=state_label(one.state) if one.state else "",
        url=model_admin.url("job_change", one.job_id) if one.state else "",
        is_this=is_this,
    )
