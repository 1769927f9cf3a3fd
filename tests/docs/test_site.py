"""The site has every page in its navigation, once. The lint of CI builds it; Sphinx checks its links."""

from __future__ import annotations

import re
from collections import Counter

from tests.databases import ROOT

DOCS = ROOT / "docs"
LINKED = re.findall(r"^- \[[^\]]+\]\(([^):#]+\.md)\): .", (DOCS / "index.md").read_text(), re.MULTILINE)


def test_every_page_is_in_the_index_with_a_line_about_it() -> None:
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"index.md"}
    assert Counter(LINKED) == Counter(pages), "docs/index.md is the navigation: - [Title](page.md): what it has"
