"""The package's structure, read from its own imports: modules, rooms (folders), and the arrows between them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from tests.databases import ROOT
from tests.sources import parse

PACKAGE = "django_jobs"

Graph = Mapping[str, frozenset[str]]
"""Name -> the names that it imports."""


@lru_cache(maxsize=1)
def modules() -> Mapping[str, Path]:
    """Return every module of the package by its dotted name, migrations left out."""
    paths = sorted((ROOT / PACKAGE).rglob("*.py"))
    return {_name(path): path for path in paths if "migrations" not in path.parts}


@lru_cache(maxsize=1)
def imports() -> Graph:
    """Return what each module imports from the package: at the top, inside functions, and for the type checker alone.

    Left out is what models import from each other for the type checker, since a relation has two ends.
    """
    return {name: frozenset(_imports_of(name, path)) - {name} for name, path in modules().items()}


def rooms(parent: str = PACKAGE) -> Graph:
    """Return the arrows between what lies directly in ``parent``: its folders, each as one, and its own modules."""
    depth = parent.count(".") + 1
    arrows: dict[str, set[str]] = {}
    for source, targets in imports().items():
        for target in targets:
            if not (_is_inside(source, parent) and _is_inside(target, parent)):
                continue
            here, there = source.split(".")[depth], target.split(".")[depth]
            arrows.setdefault(here, set())
            if here != there:
                arrows[here].add(there)
    return {name: frozenset(targets) for name, targets in arrows.items()}


def packages() -> list[str]:
    """Return the dotted names of the package and of every folder in it."""
    return [name for name, path in modules().items() if path.name == "__init__.py"]


def circles(graph: Graph) -> list[list[str]]:
    """Return the strongly connected parts with more than one member: Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph.get(node, frozenset()):
            if target not in index:
                visit(target)
            if target in stack:
                low[node] = min(low[node], low[target])
        if low[node] == index[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def floors(graph: Graph) -> list[list[str]]:
    """Return the names from top to bottom: each stands on a lower floor than all that import it."""
    height: dict[str, int] = {}

    def of(node: str) -> int:
        if node not in height:
            height[node] = 1 + max((of(target) for target in graph.get(node, ())), default=-1)
        return height[node]

    names = set(graph).union(*graph.values())
    top = max(of(name) for name in names)
    return [sorted(name for name in names if height[name] == level) for level in range(top, -1, -1)]


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_inside(name: str, parent: str) -> bool:
    return name.startswith(f"{parent}.")


def _imports_of(name: str, path: Path) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = parse(path)
    typed = _typed_only(tree) if _is_inside(name, f"{PACKAGE}.models") else set()
    for node in ast.walk(tree):
        if node in typed:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                if full in modules():
                    yield full
                elif base in modules():
                    yield base


def _typed_only(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes under ``if TYPE_CHECKING``."""
    guards = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    return {inner for guard in guards for node in guard.body for inner in ast.walk(node)}


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def reduced(graph: Graph) -> Graph:
    """Return the graph without the arrows that a longer way says already. Needs a graph without circles."""
    below: dict[str, frozenset[str]] = {}

    def all_below(node: str) -> frozenset[str]:
        if node not in below:
            targets = graph.get(node, frozenset())
            below[node] = targets.union(*(all_below(target) for target in targets)) if targets else frozenset()
        return below[node]

    return {
        node: frozenset(
            target for target in targets if not any(target in all_below(other) for other in targets if other != target)
        )
        for node, targets in graph.items()
    }


def drawing(parent: str = PACKAGE) -> str:
    """Return the rooms of ``parent`` as a Mermaid flowchart: an arrow for each import that no longer way implies."""
    graph = reduced(rooms(parent))
    lines = ["flowchart TD"]
    for floor in floors(graph):
        for name in floor:
            targets = sorted(graph.get(name, ()))
            lines.append(f"    {name} --> {' & '.join(targets)}" if targets else f"    {name}")
    return "\n".join(lines)


def drawn_way(step: str) -> list[str]:
    """Return the files of a step (``enqueue``, ``claim`` ...) as docs/internals.md draws them."""
    page = (ROOT / "docs/internals.md").read_text()
    drawing = page.split("<!-- way", 1)[1].split("```")[1]
    (row,) = re.findall(rf"^{step} +(.+)$", drawing, re.MULTILINE)
    return re.split(r" -> ", row.split("   ")[0].strip())


if __name__ == "__main__":
    print(drawing())
