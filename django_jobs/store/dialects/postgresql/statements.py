"""SQL that claims, promotes and finishes jobs on PostgreSQL; ``jobs.py`` runs it."""

from __future__ import annotations

from ..base.jobs import snapshot_statement

# The index entries that this statement has read, dead ones included, at a quarter of a microsecond each: the server
# counts them anyway, and a busy processor or a slow disk does not change the number. With track_counts off, the time.
READING = """CASE current_setting('track_counts') WHEN 'on'
    THEN coalesce(pg_stat_get_xact_tuples_returned(to_regclass('django_jobs_ready')), 0) * 0.25e-6::float8
    ELSE extract(epoch FROM clock_timestamp())::float8 END"""
# An instant further ahead than any suspension lasts was saved before the clock was set back: it counts for nothing.
SUSPENDED = (
    "(suspended_until > statement_timestamp() AND suspended_until < statement_timestamp() + interval '2 minutes')"
)
QUEUE_SNAPSHOT = (
    "WITH RECURSIVE "
    """lane AS (
    (SELECT queue_name, priority FROM django_jobs_job WHERE state = 'ready'
     ORDER BY queue_name, priority LIMIT 1)
    UNION ALL
    SELECT further.queue_name, further.priority
    FROM lane CROSS JOIN LATERAL (
        SELECT queue_name, priority FROM django_jobs_job
        WHERE state = 'ready' AND (queue_name, priority) > (lane.queue_name, lane.priority)
        ORDER BY queue_name, priority LIMIT 1
    ) AS further
)"""
    + snapshot_statement(
        times=f"""statement_timestamp(),
       least((SELECT min(run_after) FROM django_jobs_job WHERE state = 'scheduled'),
             (SELECT min(suspended_until) FROM django_jobs_queue WHERE {SUSPENDED})),
       (SELECT CASE WHEN EXISTS (SELECT FROM django_jobs_limitsignal) THEN statement_timestamp()
                    ELSE min(check_at) END FROM django_jobs_limit)""",
        lanes=f"""
    SELECT queue_name, priority,
           (EXISTS (SELECT FROM django_jobs_queue WHERE name = lane.queue_name
                    AND (max_running IS NOT NULL OR suspended_until IS NOT NULL)))::int::float8
    FROM lane
    WHERE NOT EXISTS (SELECT FROM django_jobs_queue
                      WHERE name = lane.queue_name AND (paused_at IS NOT NULL OR {SUSPENDED}))""",
        reading=READING,
    )
)

# The claim's own commit does not wait for the disk: if a crash of the server loses it, the job is ready again, which
# at-least-once allows, and the finish is fenced by the worker as well as by the claim number. Set inside the statement,
# it applies to this transaction only, also behind a pooler that shares sessions.
# PostgreSQL manual, "Asynchronous Commit".
# date_part counts in float8, extract in numeric: the same numbers, at a quarter of a microsecond less for each. Whole
# microseconds, because psycopg reads an integer in a twentieth of the time that it takes for a float.
CLAIM = """
UPDATE django_jobs_job AS job
SET state = 'running', attempt = job.attempt + 1, claim_number = job.claim_number + 1,
    worker_id = %(worker_id)s, started_at = statement_timestamp()
WHERE (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL AND job.id = ANY (ARRAY(
    SELECT id FROM django_jobs_job
    WHERE state = 'ready' AND queue_name = %(queue_name)s AND priority = %(priority)s {behind_position}
      AND NOT EXISTS (
          SELECT FROM django_jobs_queue
          WHERE name = %(queue_name)s AND (
              paused_at IS NOT NULL
              OR ((max_running IS NOT NULL OR suspended_until IS NOT NULL) AND NOT %(capped)s)
          )
      )
    ORDER BY ready_at, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
))
RETURNING id, claim_number, name, queue_name, priority, attempt, max_attempts, arguments, metadata,
          (date_part('epoch', enqueued_at) * 1e6)::bigint, (date_part('epoch', ready_at) * 1e6)::bigint,
          (date_part('epoch', unknown_since) * 1e6)::bigint, (date_part('epoch', started_at) * 1e6)::bigint,
          worker_deaths, flags
"""
CLAIM_FROM_HEAD = CLAIM.format(behind_position="")
CLAIM_FROM_POSITION = CLAIM.format(behind_position="AND (ready_at, id) > (%(ready_at)s, %(job_id)s)")

PROMOTE = """
WITH promoted AS (
    UPDATE django_jobs_job
    SET state = CASE WHEN flags & 1 = 1 THEN 'blocked' ELSE 'ready' END,
        ready_at = CASE WHEN flags & 1 = 1 THEN NULL ELSE statement_timestamp() END,
        run_after = NULL
    WHERE id = ANY (ARRAY(
        SELECT id FROM django_jobs_job
        WHERE state = 'scheduled' AND run_after <= statement_timestamp()
        ORDER BY run_after, id
        LIMIT %s
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, flags
)
SELECT count(*), coalesce(array_agg(id) FILTER (WHERE flags & 1 = 1), '{}') FROM promoted
"""

# Jobs are looked up by key (job.id = ANY): a join alone lets the planner walk the whole index of running jobs.
# The fence compares with columns of ended, not with constants: by the statistics of a table with next to no running
# jobs the planner would expect one row and scan all of ended for each (measured: a finish of 1,000 took 200 ms
# instead of 10).
FINISH_SUCCEEDED = """
WITH ended AS MATERIALIZED (
    SELECT *, 'running' AS held_state, %(worker_id)s::bigint AS holder_id
    FROM unnest(%(ids)s::bigint[], %(claim_numbers)s::int[],
                %(started)s::bigint[], %(finished)s::bigint[], %(results)s::text[])
        AS ended (job_id, claim_number, started, finished, result)
), saved AS (
    UPDATE django_jobs_job AS job
    SET state = 'succeeded', result = ended.result::jsonb, unknown_since = NULL,
        started_at = to_timestamp(ended.started / 1e6::float8), finished_at = to_timestamp(ended.finished / 1e6::float8)
    FROM ended
    WHERE job.id = ended.job_id AND job.id = ANY (%(ids)s::bigint[]) AND job.state = ended.held_state
      AND job.worker_id = ended.holder_id AND job.claim_number = ended.claim_number
    RETURNING job.id, job.flags, job.ready_at, job.started_at, job.finished_at, job.claim_number, job.attempt
), attempt AS (
    INSERT INTO django_jobs_attempt
        (job_id, claim_number, number, worker_id, outcome, ready_at, started_at, finished_at,
         error_class, error_message, traceback)
    SELECT id, claim_number, attempt, %(worker_id)s, 'succeeded', ready_at, started_at, finished_at, '', '', ''
    FROM saved
)
SELECT id, flags FROM saved
"""

FINISH_OTHERWISE = """
WITH ended AS MATERIALIZED (
    SELECT *, 'running' AS held_state, %(worker_id)s::bigint AS holder_id FROM json_to_recordset(%(ended)s::json)
        AS ended (job_id bigint, claim_number int, number smallint, state text, delay float8, given_back smallint,
                  name_unknown boolean, keeps_unknown_since boolean,
                  worker_died smallint, outcome text, started float8, finished float8,
                  error_class text, error_message text, traceback text, reason text, fingerprint text)
), saved AS (
    UPDATE django_jobs_job AS job
    SET state = ended.state,
        attempt = job.attempt - ended.given_back,
        worker_deaths = job.worker_deaths + ended.worker_died,
        run_after = CASE WHEN ended.state = 'scheduled'
                         THEN statement_timestamp() + ended.delay * interval '1 second' END,
        unknown_since = CASE WHEN ended.name_unknown THEN coalesce(job.unknown_since, statement_timestamp())
                          WHEN ended.keeps_unknown_since THEN job.unknown_since END,
        started_at = coalesce(to_timestamp(ended.started), job.started_at),
        finished_at = CASE WHEN ended.state IN ('dead', 'cancelled') THEN to_timestamp(ended.finished) END
    FROM ended
    WHERE job.id = ended.job_id AND job.id = ANY (%(ids)s::bigint[]) AND job.state = ended.held_state
      AND job.worker_id = ended.holder_id AND job.claim_number = ended.claim_number
    RETURNING job.id, job.flags, job.name, job.queue_name, job.ready_at, ended.*
), attempt AS (
    INSERT INTO django_jobs_attempt
        (job_id, claim_number, number, worker_id, outcome, ready_at, started_at, finished_at,
         error_class, error_message, traceback)
    SELECT id, claim_number, number, %(worker_id)s, outcome, ready_at, to_timestamp(started),
           to_timestamp(finished), error_class, error_message, traceback
    FROM saved WHERE outcome IS NOT NULL
), dead_letter AS (
    INSERT INTO django_jobs_deadletter
        (job_id, job_name, queue_name, reason, attempt, error_class, error_message, traceback, fingerprint,
         died_at, status, resolved_by)
    SELECT id, name, queue_name, reason, number, error_class, error_message, traceback, fingerprint,
           to_timestamp(finished), 'open', ''
    FROM saved WHERE reason IS NOT NULL
)
SELECT id, flags FROM saved
"""
