"""The pages of the documentation, and their blocks of code."""

from __future__ import annotations

import re
from pathlib import Path

from tests.databases import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def title(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the blocks of code of a page: the language, empty if none is named, and the text."""
    return [(language, text) for _, language, text in BLOCK.findall(page.read_text())]
