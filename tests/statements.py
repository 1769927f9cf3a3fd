"""Count the statements and the commits that some work takes, those included that Django makes by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connection
from django.test.utils import CaptureQueriesContext

BEGINS, ENDS = ("BEGIN", "START TRANSACTION"), ("COMMIT", "ROLLBACK")
NO_STATEMENTS = ("SAVEPOINT", "RELEASE SAVEPOINT")


@dataclass(slots=True)
class Counted:
    """What a ``with`` block took: each statement outside a transaction is a commit of its own."""

    statements: int = 0
    commits: int = 0
    texts: list[str] = field(default_factory=list)


@contextmanager
def counted() -> Iterator[Counted]:
    """Count on this thread's connection, whatever statements begin and end transactions left out."""
    found = Counted()
    is_inside = connection.in_atomic_block
    with CaptureQueriesContext(connection) as captured:
        yield found
    for query in captured:
        text = query["sql"].lstrip()
        found.texts.append(text)
        match is_inside, text.upper().startswith(BEGINS), text.upper().startswith(ENDS):
            case _, True, _:
                is_inside = True
            case _, _, True:
                found.commits += text.upper().startswith("COMMIT")
                is_inside = False
            case _:
                found.statements += not text.upper().startswith(NO_STATEMENTS)
                found.commits += not is_inside
