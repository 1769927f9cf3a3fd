"""No sentence of the docs has more than thirty words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.databases import ROOT

from .pages import PAGES, title
from .sentences import MAX_WORDS, sentences, too_long

CLAUSE = re.compile(r"(What|Which|Who|How|When|You|One job and) ")
MAX_HEADING_WORDS = 8
GITHUB = sorted((ROOT / ".github").glob("*.md"))


@pytest.mark.parametrize("page", [*PAGES, *GITHUB], ids=title)
def test_no_sentence_is_longer_than_thirty_words(page: Path) -> None:
    found = too_long(page.read_text())
    assert not found, f"more than {MAX_WORDS} words: {found}"


ASK = {"faq.md", "many-databases.md", "choosing.md", "internals.md", "celery-beat.md", "celery.md", "mail.md"}
"""Pages whose headings may be questions or clauses. Take pages out of it; add none."""


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in ASK], ids=title)
def test_headings_are_nouns_that_a_search_finds(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    found = [one for one in headings if CLAUSE.match(one) or one.endswith("?") or len(one.split()) > MAX_HEADING_WORDS]
    assert not found, "expected a noun, such as Alerts or Rate limits"


def test_prose_is_split_into_sentences() -> None:
    text = "# A title\n\nOne, `two words`, three. Four\nfive: six.\n\n- an item\n- another\n\n| a cell | b |\n\n"
    code = "```\nno. code\n```\n"
    found = ["A title", "One, X, three.", "Four five", "six.", "an item", "another", "a cell", "b"]
    assert list(sentences(text + code)) == found


def test_a_long_one_is_found() -> None:
    assert too_long("word " * 31 + ". Short.") == [("word " * 31).strip() + " ."]
    assert too_long("word " * 30 + ".") == []
