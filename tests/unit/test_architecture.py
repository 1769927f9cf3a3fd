"""The structure as the internals draw it: no circle of imports, the arrows between rooms, the steps of a job's way."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from tests import architecture
from tests.databases import ROOT, VENDORS

pytestmark = pytest.mark.one_version


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert architecture.circles(architecture.imports()) == []


@pytest.mark.parametrize("package", architecture.packages())
def test_no_folders_import_one_another_in_a_circle(package: str) -> None:
    assert architecture.circles(architecture.rooms(package)) == []


def test_a_circle_is_found() -> None:
    graph = {name: frozenset(targets) for name, targets in {"a": "b", "b": "c", "c": "a", "d": "a"}.items()}
    assert architecture.circles(graph) == [["a", "b", "c"]]


def test_the_arrows_between_the_rooms_are_drawn_as_they_are() -> None:
    """Draw them anew by ``python -m tests.architecture``."""
    (drawn,) = re.findall(r"```mermaid\n(.+?)\n```", (ROOT / "docs/internals.md").read_text(), re.DOTALL)
    assert drawn == architecture.drawing()


@pytest.mark.parametrize("step", ["enqueue", "claim", "run", "finish", "rescue"])
def test_each_arrow_of_a_jobs_way_is_an_import(step: str) -> None:
    imports = architecture.imports()
    names = [f"django_jobs.{file.removesuffix('.py').replace('/', '.')}" for file in architecture.drawn_way(step)]
    for source, target in pairwise(names):
        folder, vendor, module = target.partition("<vendor>")
        chosen = {f"{folder}{name}{module}" for name in VENDORS} if vendor else {target}
        reached = imports[source] | {far for near in imports[source] for far in _reexported(near)}
        assert chosen & set(architecture.modules()), target
        assert chosen & reached or (vendor and "django_jobs.store.dialects" in reached), f"{source} -> {target}"


def _reexported(name: str) -> frozenset[str]:
    """Return what a folder's own module passes on."""
    return architecture.imports()[name] if architecture.modules()[name].name == "__init__.py" else frozenset()
