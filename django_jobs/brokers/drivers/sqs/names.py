"""Names of queues as settings and publishers write them: ``name``, ``name.fifo``, ``123456789012/name``."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(r"(?:(?P<account>\d{12})/)?(?P<queue>[A-Za-z0-9_-]{1,75}\.fifo|[A-Za-z0-9_-]{1,80})")
EXPECTED = (
    "expected the name of a queue: up to 80 of A-Z, a-z, 0-9, '-' and '_', with '.fifo' at the end of a FIFO queue's,"
    " and '123456789012/' in front if it belongs to another account"
)


class QueueName(NamedTuple):
    """A queue, and the account that it belongs to; empty: the one of the credentials."""

    queue: str
    account: str = ""

    @property
    def is_fifo(self) -> bool:
        """Messages of a group keep their order, and a deduplication id is asked for."""
        return self.queue.endswith(".fifo")


def parse_name(text: str) -> QueueName:
    """Return the name of a queue. Raises ValueError that says what was expected."""
    found = _NAME.fullmatch(text)
    if found is None:
        raise ValueError(f"{EXPECTED}; got {text[:100]!r}")
    return QueueName(found["queue"], found["account"] or "")
