"""Record deaths after a group's resolution, when they are rolled up: the group has come back.

A resolution closes the dead letters that it sees and records itself under the group's lock. So, under that lock, a dead
letter that is still open was committed after the resolution, whatever its id and its time of death say. One that was
redriven or purged meanwhile tells by its time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from ...models import DeadLetter, DeadLetterGroup
from ...policy.group_states import first_regression
from ..dialects.shared.by_id import InIds
from ..transactions import latest_rows


class Death(Protocol):
    """Columns of a dead letter that are needed."""

    @property
    def pk(self) -> int:
        """Its id."""

    @property
    def fingerprint(self) -> str:
        """Its group."""

    @property
    def died_at(self) -> datetime:
        """Its time."""


def note_regressions(groups: Mapping[str, DeadLetterGroup], dead_letters: Collection[Death], *, using: str) -> None:
    """Set ``regressed_at`` of locked groups, unsaved, if they were resolved before one of these dead letters.

    One statement if there is such a group, else none.
    """
    resolved = {
        fingerprint: group.resolved_at
        for fingerprint, group in groups.items()
        if group.resolved_at is not None and group.regressed_at is None
    }
    candidates = [dead_letter for dead_letter in dead_letters if dead_letter.fingerprint in resolved]
    if not candidates:
        return
    rows = DeadLetter.objects.using(using).filter(InIds("pk", [dead_letter.pk for dead_letter in candidates]))
    statuses = dict(latest_rows(rows).values_list("pk", "status"))
    for fingerprint, resolved_at in resolved.items():
        died = [
            dead_letter.died_at
            for dead_letter in candidates
            if dead_letter.fingerprint == fingerprint
            and _is_after(statuses.get(dead_letter.pk), dead_letter.died_at, resolved_at)
        ]
        groups[fingerprint].regressed_at = first_regression(resolved_at, died)


def _is_after(status: str | None, died_at: datetime, resolved_at: datetime) -> bool:
    if status == DeadLetter.Status.OPEN:
        return True
    return status not in {None, DeadLetter.Status.RESOLVED} and died_at > resolved_at
