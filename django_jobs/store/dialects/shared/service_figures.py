"""Read numbers about the whole service that need no list, in one statement of bounded parts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.limits import LimitKind
from ..base.jobs import as_instant

MAX_RECENT = 1_000
"""Dead letters of the last hour, and limits to check, that are read."""

# Each part gives a name, two numbers, an instant and a text; the first has the types of all.
SERVICE_FIGURES = """
SELECT 'retries', count(*), count(CASE WHEN attempt > 0 THEN 1 END), min(CASE WHEN attempt > 0 THEN run_after END), ''
FROM (
    SELECT run_after, attempt FROM django_jobs_job WHERE state = 'scheduled' AND run_after IS NOT NULL
    ORDER BY run_after, id LIMIT %(limit)s
) AS due_next
UNION ALL
SELECT 'unknown', count(*), 0, min(unknown_since), min(name) FROM (
    SELECT name, unknown_since FROM django_jobs_job WHERE state = 'scheduled' AND run_after IS NOT NULL
    ORDER BY run_after, id LIMIT %(limit)s
) AS due_first
WHERE unknown_since IS NOT NULL
UNION ALL
SELECT 'open', count(*), 0, NULL, '' FROM (
    SELECT id FROM django_jobs_deadletter WHERE status = 'open' ORDER BY id LIMIT %(limit)s
) AS open_ones
UNION ALL
SELECT 'in_groups', CASE WHEN %(limit)s <= (
    SELECT count(*) FROM (
        SELECT id FROM django_jobs_deadletter WHERE status = 'open' ORDER BY id LIMIT %(limit)s
    ) AS first_ones
) THEN (
    SELECT coalesce(sum(counted.open), 0) FROM django_jobs_deadlettergroup AS counted
) + (
    SELECT count(*) FROM django_jobs_deadletter AS uncounted WHERE uncounted.id > place.done_id
) END, 0, NULL, ''
FROM django_jobs_rollupposition AS place WHERE source = 'dead_letters'
UNION ALL
SELECT 'died', count(*), count(CASE WHEN status = 'open' THEN 1 END), NULL, '' FROM (
    SELECT status FROM django_jobs_deadletter WHERE died_at > %(hour_ago)s ORDER BY died_at DESC LIMIT %(recent)s
) AS newest
UNION ALL
SELECT 'broken', count(*), min(id), NULL, min(name) FROM django_jobs_cronschedule
WHERE problem <> '' AND disabled_at IS NULL
UNION ALL
SELECT 'breakers', count(*), min(id), min(closed_until), min(name) FROM (
    SELECT id, kind, name, closed_until FROM django_jobs_limit WHERE check_at IS NOT NULL
    ORDER BY check_at LIMIT %(recent)s
) AS checked
WHERE kind = %(breaker)s AND closed_until > %(now)s
UNION ALL
SELECT 'rolled_up', count(*), 0, min((
    SELECT attempt.finished_at FROM django_jobs_attempt AS attempt WHERE attempt.id > place.done_id
    ORDER BY attempt.id LIMIT 1
)), '' FROM django_jobs_rollupposition AS place
WHERE source = 'attempts' AND seen_at IS NOT NULL
UNION ALL
SELECT 'release', id, 0, first_seen_at, deployed FROM (
    SELECT id, first_seen_at, deploy.release AS deployed FROM django_jobs_deploy AS deploy
    ORDER BY first_seen_at DESC, id DESC LIMIT %(deploys)s
) AS releases
UNION ALL
SELECT 'project', id, 0, last_seen_at, project FROM (
    SELECT id, last_seen_at, project FROM django_jobs_deploy ORDER BY first_seen_at DESC, id DESC LIMIT %(deploys)s
) AS projects
"""


class Figure(NamedTuple):
    """A part of the answer."""

    number: int = 0
    other: int = 0
    at: datetime | None = None
    name: str = ""


class DeployFigure(NamedTuple):
    """A deploy."""

    project: str
    release: str
    first_seen_at: datetime
    last_seen_at: datetime


class ServiceFigures(NamedTuple):
    """The figures by name, and the newest deploys, the newest first."""

    figures: dict[str, Figure]
    deploys: list[DeployFigure]


def read_service_figures(connection: BaseDatabaseWrapper, *, now: datetime, limit: int, deploys: int) -> ServiceFigures:
    """Return the figures by name, counted up to ``limit``, and so many of the newest ``deploys``. One statement.

    - ``retries``: scheduled jobs; how many are retries, and when the next of them is due.
    - ``unknown``: scheduled jobs whose name no worker knew, and one of the names.
    - ``open``: open dead letters. ``in_groups``: their exact number, by the groups' counts and the dead letters that
      are not counted yet, if there are as many as the limit; nothing before the first rollup.
    - ``died``: dead letters of the last hour, and how many of them are open.
    - ``broken``: schedules that cannot be fired; the id and the name of one, if it is only one.
    - ``breakers``: open circuit breakers at which jobs wait; likewise.
    - ``rolled_up``: 1 after the first rollup; when the first attempt ended that is not in the totals yet.
    """
    adapt = connection.ops.adapt_datetimefield_value
    values = {
        "limit": limit,
        "recent": MAX_RECENT,
        "deploys": deploys,
        "breaker": LimitKind.BREAKER.value,
        "now": adapt(now),
        "hour_ago": adapt(now - timedelta(hours=1)),
    }
    with connection.cursor() as cursor:
        cursor.execute(SERVICE_FIGURES, values)
        rows = cursor.fetchall()
    return ServiceFigures(
        figures={
            key: Figure(max(int(number), 0), int(other or 0), as_instant(at), name or "")
            for key, number, other, at, name in rows
            if number is not None and key not in {"release", "project"}
        },
        deploys=_join_deploys([row for row in rows if row[0] in {"release", "project"}]),
    )


def _join_deploys(rows: list[tuple[str, int, int, Any, str]]) -> list[DeployFigure]:
    """Join the two rows of each deploy by its id."""
    projects = {pk: (project, as_instant(seen)) for kind, pk, _, seen, project in rows if kind == "project"}
    joined = []
    for kind, pk, _, at, release in rows:
        first_seen_at = as_instant(at)
        if kind == "release" and pk in projects and first_seen_at is not None:
            project, last_seen_at = projects[pk]
            joined.append((pk, DeployFigure(project, release, first_seen_at, last_seen_at or first_seen_at)))
    joined.sort(key=lambda pair: (pair[1].first_seen_at, pair[0]), reverse=True)
    return [deploy for _, deploy in joined]
