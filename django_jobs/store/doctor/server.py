"""Ask the database about itself: its clock, transactions that hold up vacuum, settings that weaken a promise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from ...conf import get_settings
from ...models import Worker
from ...policy.doctor import ServerFacts, UnsafeSetting
from .. import redis_channels
from ..dialects import open_dialect


def read_server(*, using: str | None = None) -> ServerFacts:
    """Return what the database tells this user; what the user may not read is left out."""
    dialect, connection = open_dialect(using)
    clock_skew_seconds = (datetime.now(UTC) - dialect.now(connection)).total_seconds()
    settings = get_settings()
    url = settings.notifier if settings.worker.notify and not dialect.hears_commits else None
    facts = dialect.server.read_facts(connection, notify=settings.worker.notify and url is None)
    if url is not None:
        facts = replace(facts, notify_works=redis_channels.answers(url), notifier=str(url))
    unsafe = list(facts.unsafe_settings)
    if UnsafeSetting.NO_WAL in unsafe and not Worker.objects.using(connection.alias).exists():
        unsafe.remove(UnsafeSetting.NO_WAL)  # the first worker switches it
    if not connection.settings_dict.get("AUTOCOMMIT", True):
        unsafe.insert(0, UnsafeSetting.AUTOCOMMIT_OFF)
    return replace(facts, clock_skew_seconds=clock_skew_seconds, unsafe_settings=unsafe)
