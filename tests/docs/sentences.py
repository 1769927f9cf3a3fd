"""The sentences of a page: prose only, without code, links' addresses and comments."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_WORDS = 30
_ITEM = re.compile(r"\s*(?:[-*]|\d+\.) |#+ |\|")
_END = re.compile(r"(?<=[.!?])[\"*)]*\s+|\s*[:;]\s+")
_ABBREVIATIONS = re.compile(r"\b(?:e\.g|i\.e|etc|vs|approx)\.")


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of Markdown. A cell of a table, an item of a list and a heading are texts of their own.

    A colon and a semicolon end a sentence, as a stop does. Code in a line counts as one word.
    """
    text = re.sub(r"^( *)```.*?^\1```", "\n\n", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]+`", "X", text)
    text = _ABBREVIATIONS.sub("X", text)
    for block in _blocks(text):
        yield from filter(None, (sentence.strip() for sentence in _END.split(block)))


def _blocks(text: str) -> Iterator[str]:
    """Yield paragraphs, items and cells, each on one line."""
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        if not line.strip() or _ITEM.match(line):
            yield " ".join(lines)
            lines = []
        if line.startswith("|"):
            yield from line.strip("|").split(" | ")
        elif line.strip():
            lines.append(_ITEM.sub("", line, count=1).strip())


def too_long(text: str) -> list[str]:
    """Return the sentences with more than ``MAX_WORDS`` words."""
    return [sentence for sentence in sentences(text) if len(re.findall(r"[\w'.-]*\w", sentence)) > MAX_WORDS]
