"""The graph around a job, drawn on the server: boxes that are links, and the same as text."""

from __future__ import annotations

from dataclasses import dataclass

from ...models import Job
from ...policy.graph_layout import BOX_HEIGHT, BOX_WIDTH, layout_graph
from ...store.dependencies.neighbours import Neighbour, neighbours
from ..site.databases import row_text
from ..site.labels import state_label
from ..site.page_admin import PageAdmin

MAX_NAME_CHARS = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNode:
    """A job of the graph and the place of its box. ``url`` is empty if the row is gone."""

    job_id: int
    id_text: str
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
    """The drawing, and the direct neighbours for those who do not see it."""

    width: int
    height: int
    jobs: tuple[JobNode, ...]
    lines: tuple[str, ...]
    predecessors: tuple[JobNode, ...]
    successors: tuple[JobNode, ...]
    is_truncated: bool
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


def build_job_graph(model_admin: PageAdmin[Job], job: Job) -> JobGraph | None:
    """Return the graph around a job, None if it has neither predecessors nor successors."""
    around = neighbours(job.pk)
    if around is None:
        return None
    drawing = layout_graph(around.predecessors)
    nodes = {
        box.job_id: _build_node(model_admin, around.jobs[box.job_id], box.x, box.y, is_this=box.job_id == job.pk)
        for box in drawing.boxes
    }
    successors = (pk for pk, predecessors in around.predecessors.items() if job.pk in predecessors)
    return JobGraph(
        width=drawing.width,
        height=drawing.height,
        jobs=tuple(nodes.values()),
        lines=drawing.lines,
        predecessors=tuple(nodes[pk] for pk in around.predecessors[job.pk]),
        successors=tuple(nodes[pk] for pk in successors),
        is_truncated=around.is_truncated,
    )


def _build_node(model_admin: PageAdmin[Job], job: Neighbour, x: int, y: int, *, is_this: bool) -> JobNode:
    last = job.name.rpartition(".")[2]
    return JobNode(
        job_id=job.job_id,
        id_text=row_text(job.job_id),
        x=x,
        y=y,
        name=job.name,
        short_name=last if len(last) <= MAX_NAME_CHARS else last[: MAX_NAME_CHARS - 1] + "…",
        state=job.state,
        state_label=state_label(job.state) if job.state else "",
        url=model_admin.url("job_change", job.job_id) if job.state else "",
        is_this=is_this,
    )
