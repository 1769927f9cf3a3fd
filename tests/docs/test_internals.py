"""The drawings of the internals are those of the code: the rooms of the linter's contract, files that exist."""

from __future__ import annotations

import re
import tomllib

from tests.databases import ROOT

PAGE = (ROOT / "docs" / "internals.md").read_text()
PACKAGE = ROOT / "django_jobs"


def test_the_rooms_are_the_layers_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract.get("containers") == ["django_jobs"]]
    drawing = PAGE.split("<!-- rooms", 1)[1].split("```")[1]
    rooms = [re.split(r" {2,}", line, maxsplit=1)[0] for line in drawing.strip().splitlines()]
    assert rooms == layers


def test_every_file_and_folder_named_exists() -> None:
    named = set(re.findall(r"(?<![\w/<>.-])((?:[a-z_]+/)+(?:[a-z_]+\.\w+)?)(?![\w/<*])", PAGE))
    missing = [name for name in sorted(named) if not any((folder / name).exists() for folder in (PACKAGE, ROOT))]
    assert missing == []


def test_every_function_named_of_a_file_exists() -> None:
    for file, function in re.findall(r"`([\w/]+\.py): (\w+)`", PAGE):
        assert f"def {function}(" in (PACKAGE / file).read_text(), file
