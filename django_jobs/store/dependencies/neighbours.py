"""Read the part of a graph around one job, nearest first, in a bounded number of statements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...models import Dependency, Job
from ..dialects import open_dialect
from .successors import MET_OR_UNMET

MAX_JOBS = 60
MAX_EDGES = 400
MAX_STEPS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A job near another. A deleted job has no name and no state."""

    job_id: int
    name: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """The jobs around one, and the predecessors of each; ``is_truncated`` if there are more jobs or edges."""

    jobs: dict[int, Neighbour]
    predecessors: dict[int, list[int]]
    is_truncated: bool


def neighbours(job_id: int, *, using: str | None = None) -> Neighbourhood | None:
    """Return up to 60 jobs, at most six steps away, with the edges between them; None if there is no other.

    One statement for a job without dependencies.
    """
    _, connection = open_dialect(using)
    alias = connection.alias
    found: dict[int, None] = {job_id: None}
    frontier: set[int] = {job_id}
    is_truncated = False
    for _ in range(MAX_STEPS):
        edges = _edges_of(frontier, alias)
        reached = {end for edge in edges for end in edge} - found.keys()
        is_truncated = is_truncated or len(edges) == MAX_EDGES or len(found) + len(reached) > MAX_JOBS
        kept = sorted(reached)[: MAX_JOBS - len(found)]
        found.update(dict.fromkeys(kept))
        frontier = set(kept)
        if not frontier:
            break
    else:
        is_truncated = is_truncated or bool({end for edge in _edges_of(frontier, alias) for end in edge} - found.keys())
    if len(found) == 1:
        return None
    return _surroundings(list(found), is_truncated, alias)


def _edges_of(job_ids: Iterable[int], alias: str) -> list[tuple[int, int]]:
    """Return a bounded number of edges, as (job, predecessor), that begin or end at these jobs."""
    edges = Dependency.objects.using(alias)
    before = edges.filter(is_met__in=MET_OR_UNMET, job__in=job_ids).values_list("job_id", "predecessor_id")
    behind = edges.filter(predecessor__in=job_ids).values_list("job_id", "predecessor_id")
    return list(before.union(behind, all=True)[:MAX_EDGES])


def _surroundings(job_ids: list[int], is_truncated: bool, alias: str) -> Neighbourhood:
    rows = Job.objects.using(alias).filter(pk__in=job_ids).values_list("pk", "name", "state")
    jobs = {job_id: Neighbour(job_id=job_id) for job_id in job_ids}
    jobs |= {pk: Neighbour(job_id=pk, name=name, state=state) for pk, name, state in rows}
    between = Dependency.objects.using(alias).filter(predecessor__in=job_ids, job__in=job_ids)
    edges = list(between.order_by("pk").values_list("job_id", "predecessor_id")[: MAX_EDGES + 1])
    predecessors: dict[int, list[int]] = {job_id: [] for job_id in job_ids}
    for job_id, predecessor_id in edges[:MAX_EDGES]:
        predecessors[job_id].append(predecessor_id)
    return Neighbourhood(jobs=jobs, predecessors=predecessors, is_truncated=is_truncated or len(edges) > MAX_EDGES)
