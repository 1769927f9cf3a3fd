"""SQL of jobs on SQLite; ``jobs.py`` runs it."""

from __future__ import annotations

from ..base.jobs import snapshot_statement

NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')"
SOON = "strftime('%Y-%m-%d %H:%M:%f', 'now', '1 second')"
LATER = "strftime('%Y-%m-%d %H:%M:%f', 'now', %s || ' seconds')"

# An instant further ahead than any suspension lasts was saved before the clock was set back: it counts for nothing.
SUSPENDED = f"(suspended_until > {NOW} AND suspended_until < strftime('%Y-%m-%d %H:%M:%f', 'now', '120 seconds'))"
QUEUE_SNAPSHOT = (
    "WITH RECURSIVE "
    """lane (queue_name, priority) AS (
    SELECT * FROM (SELECT queue_name, priority FROM django_jobs_job WHERE state = 'ready'
                   ORDER BY queue_name, priority LIMIT 1)
    UNION ALL
    SELECT further.queue_name, further.priority
    FROM lane JOIN django_jobs_job AS further ON further.id = (
        SELECT id FROM django_jobs_job
        WHERE state = 'ready' AND (queue_name, priority) > (lane.queue_name, lane.priority)
        ORDER BY queue_name, priority LIMIT 1
    )
)"""
    + snapshot_statement(
        times=f"""{NOW}, (SELECT CASE WHEN julianday(due) IS NULL AND due IS NOT NULL THEN {SOON} ELSE due END
               FROM (SELECT min(due) AS due FROM (
                   SELECT min(run_after) AS due FROM django_jobs_job WHERE state = 'scheduled'
                   UNION ALL SELECT min(suspended_until) FROM django_jobs_queue WHERE {SUSPENDED}
               ))),
       (SELECT CASE WHEN EXISTS (SELECT 1 FROM django_jobs_limitsignal) THEN {NOW} ELSE min(check_at) END
        FROM django_jobs_limit)""",
        lanes=f"""
    SELECT queue_name, priority,
           EXISTS (SELECT 1 FROM django_jobs_queue WHERE name = lane.queue_name
                   AND (max_running IS NOT NULL OR suspended_until IS NOT NULL))
    FROM lane
    WHERE NOT EXISTS (SELECT 1 FROM django_jobs_queue
                      WHERE name = lane.queue_name AND (paused_at IS NOT NULL OR {SUSPENDED}))""",
        reading="0",  # measured by the thread's processor time: the database runs in this process
    )
)

CLAIM = """
UPDATE django_jobs_job
SET state = 'running', attempt = attempt + 1, claim_number = claim_number + 1, worker_id = %(worker_id)s,
    started_at = {now}
WHERE id IN (
    SELECT id FROM django_jobs_job
    WHERE state = 'ready' AND queue_name = %(queue_name)s AND priority = %(priority)s {behind_position}
      AND NOT EXISTS (
          SELECT 1 FROM django_jobs_queue
          WHERE name = %(queue_name)s AND (
              paused_at IS NOT NULL
              OR ((max_running IS NOT NULL OR suspended_until IS NOT NULL) AND NOT %(capped)s)
          )
      )
    ORDER BY ready_at, id
    LIMIT %(limit)s
)
RETURNING id, claim_number, name, queue_name, priority, attempt, max_attempts, arguments, metadata,
          {enqueued}, {ready}, {unknown}, {started}, worker_deaths, flags
"""
WHOLE_SECONDS = "strftime('%%s', substr({0}, 1, 19))"
"""Without the fraction: SQLite rounds to milliseconds, and from .9995 on to the next second."""
SINCE_EPOCH = f"CAST({WHOLE_SECONDS} || substr({{0}}, 20) AS REAL)"
_CLAIM_PARTS = {
    "now": NOW.replace("%", "%%"),
    "enqueued": f"coalesce({SINCE_EPOCH.format('enqueued_at')}, {SINCE_EPOCH.format('started_at')})",
    # Text edited by hand may be no instant; such a job runs like any other.
    "ready": f"coalesce({SINCE_EPOCH.format('ready_at')}, {SINCE_EPOCH.format('started_at')})",
    "unknown": SINCE_EPOCH.format("unknown_since"),
    "started": SINCE_EPOCH.format("started_at"),
}
CLAIM_FROM_HEAD = CLAIM.format(**_CLAIM_PARTS, behind_position="")
CLAIM_FROM_POSITION = CLAIM.format(**_CLAIM_PARTS, behind_position="AND (ready_at, id) > (%(ready_at)s, %(job_id)s)")

PROMOTE = """
UPDATE django_jobs_job
SET state = CASE WHEN flags & 1 THEN 'blocked' ELSE 'ready' END,
    ready_at = CASE WHEN flags & 1 THEN NULL ELSE {now} END,
    run_after = NULL
WHERE id IN (
    SELECT id FROM django_jobs_job WHERE state = 'scheduled' AND run_after <= {now}
    ORDER BY run_after, id LIMIT %s
)
RETURNING id, flags
""".format(now=NOW.replace("%", "%%"))

OWNED = """
SELECT id, claim_number, ready_at, flags FROM django_jobs_job
WHERE id IN (SELECT value FROM json_each(%s)) AND state = 'running' AND worker_id = %s
"""

FINISH_JOB = """
UPDATE django_jobs_job
SET state = %s, result = %s, attempt = attempt - %s, worker_deaths = worker_deaths + %s,
    run_after = CASE WHEN %s THEN {later} END,
    unknown_since = CASE WHEN %s THEN coalesce(unknown_since, {now}) WHEN %s THEN unknown_since END,
    started_at = coalesce(%s, started_at), finished_at = %s
WHERE id = %s
""".format(now=NOW.replace("%", "%%"), later=LATER.replace("%Y-%m-%d %H:%M:%f", "%%Y-%%m-%%d %%H:%%M:%%f"))

FINISH_JOB_SUCCEEDED = """
UPDATE django_jobs_job
SET state = 'succeeded', result = %s, unknown_since = NULL, started_at = %s, finished_at = %s
WHERE id = %s
"""
