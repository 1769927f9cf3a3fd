"""Clamp the windows of idempotency keys that the database's clock, set back, has left too far ahead of it."""

from __future__ import annotations

from uuid import UUID

from ...models import EnqueueKey
from ...policy.clock_steps import TOLERANCE, shifted
from ...policy.uniqueness import KeyKind
from ..clock import DatabaseNow
from ..dialects import open_dialect

WINDOW = 2_000


def clamp_keys(*, after: UUID | None, dry: bool = False, using: str | None = None) -> tuple[int, UUID | None]:
    """Have the next keys behind ``after`` (None: from the first) hold no longer than their windows from now on."""
    dialect, connection = open_dialect(using)
    keys = EnqueueKey.objects.using(connection.alias).order_by("digest")
    behind = keys if after is None else keys.filter(digest__gt=after)
    last = behind.values_list("digest", flat=True)[WINDOW - 1 : WINDOW].first()
    window = behind if last is None else behind.filter(digest__lte=last)
    ahead = window.filter(kind=KeyKind.IDEMPOTENCY, acquired_at__gt=DatabaseNow(TOLERANCE))
    rows = list(ahead.values_list("digest", "acquired_at", "expires_at"))
    now = dialect.now(connection)
    for digest, acquired_at, expires_at in [] if dry else rows:
        same = keys.filter(digest=digest, acquired_at=acquired_at, expires_at=expires_at)
        same.update(acquired_at=now, expires_at=shifted(expires_at, acquired_at, now=now))
    return len(rows), last
