"""SQL of jobs on MySQL and MariaDB; ``jobs.py`` runs it."""

from __future__ import annotations

from ..base.jobs import snapshot_statement

NOW = "UTC_TIMESTAMP(6)"

# An instant further ahead than any suspension lasts was saved before the clock was set back: it counts for nothing.
SUSPENDED = f"(suspended_until > {NOW} AND suspended_until < {NOW} + INTERVAL 2 MINUTE)"

# A few entries of indexes are read, however many jobs there are, as long as it is written like this. min() of the jobs'
# times would read all of them; so would DISTINCT without the index's first column, and with state = 'ready' if the
# statistics are wrong. No job has the state ''.
# SYSDATE() is the time of its own evaluation, after all locks on tables were taken; NOW() is the statement's.
QUEUE_SNAPSHOT = snapshot_statement(
    times=f"""{NOW}, (SELECT min(due) FROM (
           (SELECT run_after AS due FROM django_jobs_job WHERE run_after IS NOT NULL ORDER BY run_after LIMIT 1)
           UNION ALL SELECT min(suspended_until) FROM django_jobs_queue WHERE {SUSPENDED}
       ) AS instant),
       (SELECT IF(EXISTS (SELECT 1 FROM django_jobs_limitsignal), {NOW}, min(check_at)) FROM django_jobs_limit)""",
    lanes=f"""
    SELECT lane.queue_name, lane.priority,
           EXISTS (SELECT 1 FROM django_jobs_queue WHERE name = lane.queue_name
                   AND (max_running IS NOT NULL OR suspended_until IS NOT NULL))
    FROM (
        SELECT DISTINCT state, queue_name, priority
        FROM django_jobs_job FORCE INDEX (django_jobs_ready) WHERE state IN ('ready', '')
    ) AS lane
    WHERE NOT EXISTS (SELECT 1 FROM django_jobs_queue
                      WHERE name = lane.queue_name AND (paused_at IS NOT NULL OR {SUSPENDED}))""",
    reading="UNIX_TIMESTAMP(SYSDATE(6))",
)

READY = """
SELECT id, claim_number + 1, name, queue_name, priority, attempt + 1, max_attempts, arguments, metadata,
       {enqueued}, {ready}, {unknown}, {now}, worker_deaths, flags, UTC_TIMESTAMP(6)
FROM django_jobs_job FORCE INDEX (django_jobs_ready)
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
FOR UPDATE SKIP LOCKED
"""
_SINCE_EPOCH = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {}) / 1e6"
_INSTANTS = {
    "enqueued": _SINCE_EPOCH.format("enqueued_at"),
    "ready": _SINCE_EPOCH.format("ready_at"),
    "unknown": _SINCE_EPOCH.format("unknown_since"),
    "now": _SINCE_EPOCH.format(NOW),
}
READY_FROM_HEAD = READY.format(**_INSTANTS, behind_position="")
READY_FROM_POSITION = READY.format(
    **_INSTANTS,
    behind_position="AND (ready_at > %(ready_at)s OR (ready_at = %(ready_at)s AND id > %(job_id)s))",
)
READY_POSITIONS = """
SELECT ready_at, id FROM django_jobs_job FORCE INDEX (django_jobs_ready)
WHERE state = 'ready' AND queue_name = %s AND priority = %s
ORDER BY ready_at, id
LIMIT %s
"""
TAKE = """
UPDATE django_jobs_job
SET state = 'running', attempt = attempt + 1, claim_number = claim_number + 1, worker_id = %s, started_at = %s
WHERE id IN %s
"""

DUE = """
SELECT id, flags FROM django_jobs_job FORCE INDEX (django_jobs_scheduled)
WHERE run_after <= UTC_TIMESTAMP(6) AND state = 'scheduled'
ORDER BY run_after, id
LIMIT %s
FOR UPDATE SKIP LOCKED
"""
PROMOTE = """
UPDATE django_jobs_job
SET state = IF(flags & 1, 'blocked', 'ready'), ready_at = IF(flags & 1, NULL, UTC_TIMESTAMP(6)), run_after = NULL
WHERE id IN %s
"""

# By key: from 200 ids on the optimizer reads, and locks, every running job instead.
OWNED = """
SELECT id, claim_number, ready_at, flags FROM django_jobs_job FORCE INDEX (PRIMARY)
WHERE id IN %s AND state = 'running' AND worker_id = %s
FOR UPDATE
"""

_EPOCH = "TIMESTAMPADD(MICROSECOND, {}, TIMESTAMP'1970-01-01 00:00:00.000000')"

# Rows are looked up by key, whatever the optimizer prefers: in a table of three jobs it would read, and lock, all.
# A batch of successes is sent as one JSON text, in a fifth of the time that Python needs to write out values. Its texts
# are utf8mb4: without that JSON_TABLE's are in the database's default, and what that lacks becomes a question mark.
_SUCCEEDED = """JSON_TABLE(%s, '$[*]' COLUMNS (
           job_id bigint PATH '$[0]', claim_number int PATH '$[1]', number smallint PATH '$[2]',
           started bigint PATH '$[3]', finished bigint PATH '$[4]',
           result longtext CHARACTER SET utf8mb4 PATH '$[5]')) AS ended
STRAIGHT_JOIN django_jobs_job AS job FORCE INDEX (PRIMARY) ON job.id = ended.job_id"""

FINISH_SUCCEEDED = f"""
UPDATE {_SUCCEEDED}
SET job.state = 'succeeded', job.result = ended.result, job.unknown_since = NULL,
    job.started_at = {_EPOCH.format("ended.started")}, job.finished_at = {_EPOCH.format("ended.finished")}
"""
INSERT_SUCCEEDED_ATTEMPTS = f"""
INSERT INTO django_jobs_attempt
    (job_id, claim_number, number, worker_id, outcome, ready_at, started_at, finished_at,
     error_class, error_message, traceback)
SELECT ended.job_id, ended.claim_number, ended.number, %s, 'succeeded', job.ready_at, job.started_at,
       job.finished_at, '', '', ''
FROM {_SUCCEEDED}
"""

FINISH_OTHERWISE = f"""
UPDATE JSON_TABLE(%s, '$[*]' COLUMNS (
           job_id bigint PATH '$.job_id', state varchar(10) PATH '$.state', delay bigint PATH '$.delay',
           given_back smallint PATH '$.given_back', name_unknown tinyint PATH '$.name_unknown',
           keeps_unknown_since tinyint PATH '$.keeps_unknown_since', worker_died smallint PATH '$.worker_died',
           started bigint PATH '$.started', finished bigint PATH '$.finished')) AS ended
STRAIGHT_JOIN django_jobs_job AS job FORCE INDEX (PRIMARY) ON job.id = ended.job_id
SET job.state = ended.state,
    job.attempt = job.attempt - ended.given_back,
    job.worker_deaths = job.worker_deaths + ended.worker_died,
    job.run_after = IF(ended.state = 'scheduled', TIMESTAMPADD(MICROSECOND, ended.delay, {NOW}), NULL),
    job.unknown_since = CASE WHEN ended.name_unknown THEN coalesce(job.unknown_since, {NOW})
                          WHEN ended.keeps_unknown_since THEN job.unknown_since END,
    job.started_at = coalesce({_EPOCH.format("ended.started")}, job.started_at),
    job.finished_at = IF(ended.state IN ('dead', 'cancelled'), {_EPOCH.format("ended.finished")}, NULL)
"""
