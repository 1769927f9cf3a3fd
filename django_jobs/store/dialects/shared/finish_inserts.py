"""Insert the attempts and dead letters of finished runs, on databases whose statements write one table each."""

from __future__ import annotations

INSERT_ATTEMPT = """
INSERT INTO django_jobs_attempt
    (job_id, claim_number, number, worker_id, outcome, ready_at, started_at, finished_at,
     error_class, error_message, traceback)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

INSERT_DEAD_LETTER = """
INSERT INTO django_jobs_deadletter
    (job_id, job_name, queue_name, reason, attempt, error_class, error_message, traceback, fingerprint,
     died_at, status, resolved_by)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'open', '')
"""
