"""Sessions of SQLite: pragmas, temporary tables, attached files."""

from __future__ import annotations

from ....policy.session_effects import COMMON_PLAIN_WORDS, SessionRules
from ..base.sessions import SessionStatements


class SQLiteSessions(SessionStatements):
    """Everything is gone as soon as the connection is closed; the driver tells whether a transaction is open."""

    rules = SessionRules(plain_words=COMMON_PLAIN_WORDS | {"analyze", "begin", "end", "reindex", "replace", "vacuum"})
