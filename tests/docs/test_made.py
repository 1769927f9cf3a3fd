"""Pages and parts of pages that are made from code are what the code makes of them today."""

from __future__ import annotations

from pathlib import Path

import pytest

from .made import DOCS, MARK, PARTS, WHOLE, filled, pages_with_parts

HOW = "run: python -m tests.docs"


@pytest.mark.parametrize("name", WHOLE)
def test_the_page_is_what_the_code_makes(name: str) -> None:
    assert (DOCS / name).read_text() == WHOLE[name](), HOW


@pytest.mark.parametrize("page", pages_with_parts(), ids=lambda page: page.name)
def test_the_parts_of_the_page_are_what_the_code_makes(page: Path) -> None:
    assert page.read_text() == filled(page.read_text()), HOW


def test_each_part_is_on_a_page() -> None:
    assert {name for page in pages_with_parts() for _, name, _ in MARK.findall(page.read_text())} == set(PARTS)
