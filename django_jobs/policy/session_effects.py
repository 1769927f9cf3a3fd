"""Judge an SQL statement by what it leaves behind: nothing, until the transaction ends, or in the session.

Read as text: a function of the project's own that changes the session inside the server is not recognized.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

_FIRST_WORD = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*(?!M?!).*?\*/)*([a-zA-Z]*)", re.DOTALL)
_SPACE = re.compile(r"\s+")
_STRING = re.compile(r"'(?:[^']|'')*'")
# Text whose strings begin and end at the same places in the syntax of every vendor: no comment, backslash or dollar.
_UNAMBIGUOUS = re.compile(r"""(?:[^'"`\\$#/-]|[-/](?![-*])|'(?:[^'\\]|'')*'|"[^"'\\]*"|`[^`'\\]*`)*""")

GAP = r"(?:\s|/\*(?:[^*]|\*(?!/))*\*/|(?:--|\#)[^\n]*\n)*"
"""What may stand between two words of a statement: space and comments."""
CALL = rf'["`]?{GAP}\('
"""What follows the name of a function that is called; the name may be quoted."""

COMMON_PLAIN_WORDS = frozenset(
    {
        "commit", "delete", "describe", "explain", "insert", "merge", "release", "rollback", "savepoint", "select",
        "show", "table", "truncate", "update", "values", "with",
    }
)  # fmt: skip
"""First words of statements that leave nothing in the session, whatever the vendor."""


class SessionEffect(IntEnum):
    """How long a statement affects those after it."""

    NONE = 0
    TRANSACTION = 1
    SESSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """Signs of an effect in the statements of a vendor, all in lower case.

    ``plain_words``: first words without an effect. ``transaction_phrases``: beginnings with an effect until the end of
    the transaction. ``session_calls``: what makes a plain statement affect the session, and ``hints``, one of which it
    contains: they are cheap to search. ``transaction_calls``: those that end with the transaction.
    """

    plain_words: frozenset[str] = COMMON_PLAIN_WORDS
    transaction_phrases: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    session_calls: re.Pattern[str] | None = None
    transaction_calls: re.Pattern[str] | None = None


def session_effect(statement: str, rules: SessionRules) -> SessionEffect:
    """Return the effect of a statement, or of the strongest of several that are separated by semicolons."""
    if ";" in statement:
        parts = [part for part in _split(statement) if part.strip()]
        if len(parts) > 1:
            return max(_effect_of_one(part, rules) for part in parts)
    return _effect_of_one(statement, rules)


def _split(statement: str) -> list[str]:
    """Split at semicolons; at those in strings too, where it takes a parser to know what is a string."""
    match = _FIRST_WORD.match(statement)
    text = statement[match.start(1) if match else 0 :]
    return (_STRING.sub("''", text) if _UNAMBIGUOUS.fullmatch(text) else text).split(";")


def _effect_of_one(statement: str, rules: SessionRules) -> SessionEffect:
    match = _FIRST_WORD.match(statement)
    start = match.start(1) if match else 0
    if match is None or match[1].lower() not in rules.plain_words:
        phrase = _SPACE.sub(" ", statement[start:])[:40].lower()
        return SessionEffect.TRANSACTION if phrase.startswith(rules.transaction_phrases) else SessionEffect.SESSION
    text = statement.lower()
    for hint in rules.hints:
        if hint in text:
            return _effect_of_calls(text, rules)
    return SessionEffect.NONE


def _effect_of_calls(text: str, rules: SessionRules) -> SessionEffect:
    """Look for calls; take out those that end with the transaction, and look again."""
    if rules.session_calls is None or not rules.session_calls.search(text):
        return SessionEffect.NONE
    rest = rules.transaction_calls.sub("", text) if rules.transaction_calls else text
    return SessionEffect.SESSION if rules.session_calls.search(rest) else SessionEffect.TRANSACTION
