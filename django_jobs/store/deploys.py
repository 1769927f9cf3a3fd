"""Deploys: record one when the first worker of another release starts, and read them.

Old and new workers run side by side while a deploy goes on, and old processes are replaced meanwhile. So the return to
an earlier release is a deploy only if the worker's command started after the newest deploy, and no worker of that
release is left from the time before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max

from ..models import Deploy, Worker
from .clock import DatabaseNow, database_now
from .dialects import open_dialect

MAX_ROUNDS = 10
"""Of workers that record different releases at once, one succeeds in each round."""
RETENTION = timedelta(days=60)
"""As long as the sums of the longest spans are stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedRelease:
    """A deploy of a release. ``last_seen_at``: when a worker with it last started."""

    project: str
    release: str
    first_seen_at: datetime
    last_seen_at: datetime


def record_deploy(
    release: str,
    *,
    projects: Sequence[str],
    running_for: timedelta,
    stale_after: timedelta,
    using: str | None = None,
) -> bool:
    """Record that a worker with this release started; return whether this call recorded a deploy.

    ``projects``: the names of the project, the present one first. ``running_for``: since the worker's command started.
    Three statements if the release is the newest already. The deploy's number is unique: of workers that start at once
    one inserts it.
    """
    _, connection = open_dialect(using)
    alias = connection.alias
    deploys = Deploy.objects.using(alias).filter(project__in=projects).order_by("-number")
    for _ in range(MAX_ROUNDS):
        newest, now = deploys.first(), database_now(using=alias)
        known = newest if newest is None or newest.release == release else deploys.filter(release=release).first()
        if known is not None and newest is not None:
            is_return = known != newest and now - running_for > newest.first_seen_at
            if not is_return or _is_left_from_before(newest, release, stale_after, alias):
                Deploy.objects.using(alias).filter(pk=known.pk).update(last_seen_at=DatabaseNow())
                return False
        deploy = Deploy(
            project=projects[0],
            number=newest.number + 1 if newest else 1,
            release=release,
            first_seen_at=now,
            last_seen_at=now,
        )
        Deploy.objects.using(alias).bulk_create([deploy], ignore_conflicts=True)
        if deploys.filter(number=deploy.number, release=release, first_seen_at=now).exists():
            return True
    return False


def _is_left_from_before(newest: Deploy, release: str, stale_after: timedelta, alias: str) -> bool:
    """Tell whether a living worker with this release was there before the newest deploy."""
    alive = Worker.objects.using(alias).filter(
        state__in=Worker.ALIVE_STATES, heartbeat_at__gte=DatabaseNow(-stale_after)
    )
    return alive.filter(release=release, started_at__lt=newest.first_seen_at).exists()


def newest_deploys(*, limit: int, using: str | None = None) -> list[DeployedRelease]:
    """Return up to ``limit`` deploys of all projects, the newest first. One statement over an index."""
    _, connection = open_dialect(using)
    rows = Deploy.objects.using(connection.alias).order_by("-first_seen_at", "-pk")
    return [
        DeployedRelease(
            project=row.project,
            release=row.release,
            first_seen_at=row.first_seen_at,
            last_seen_at=row.last_seen_at,
        )
        for row in rows[:limit]
    ]


def prune_deploys(*, using: str | None = None) -> int:
    """Delete deploys older than what pages show, but the newest of each project; return how many were."""
    _, connection = open_dialect(using)
    deploys = Deploy.objects.using(connection.alias)
    newest = list(deploys.order_by().values("project").annotate(newest=Max("pk")).values_list("newest", flat=True))
    return deploys.filter(first_seen_at__lt=DatabaseNow(-RETENTION)).exclude(pk__in=newest).delete()[0]
