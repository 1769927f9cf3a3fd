"""Public operations on jobs, dead letters, batches, queues, limits, schedules and workers.

This module is the one public face of ``django_jobs.store``; the admin, the commands and projects call it.

    from django_jobs import operations

    operations.cancel(job)                                  # a job, its id, or a queryset of jobs
    operations.redrive(DeadLetter.objects.open(), by="ada")  # dead letters: one, a queryset, or a Q

- Querysets offer the same: ``Job.objects.running().cancel()``, ``DeadLetter.objects.open().redrive(by="ada")``.
- Rows in a state to which an operation does not apply are left alone, also if they enter it meanwhile.
- Each returns how much it changed. Many rows are changed 1,000 per transaction; in a transaction of the caller's,
  all of them in that one.
- ``by`` is the name of the actor, stored or logged. ``using`` is a database alias, by default the setting's.
- Errors are subclasses of ``django_jobs.exceptions.JobsError``; a target of a wrong type raises TypeError.
"""

from __future__ import annotations

from .conf import get_settings
from .policy.cancellation import CancelResult
from .store.batches.batch import Progress, batch_progress, batch_progress_by_id
from .store.dead_letters.groups import find_group, groups_page
from .store.dead_letters.mute import mute, set_group_note, unmute
from .store.dead_letters.resolve import resolve, set_dead_letter_note
from .store.doctor.why_not_running import why_not_running
from .store.enqueue.prune_keys import prune_keys, prune_once
from .store.lifecycle.cancel import cancel
from .store.lifecycle.cancel_batch import cancel_batch
from .store.lifecycle.prune import prune as prune_jobs
from .store.lifecycle.prune import prune_records, prune_ticks
from .store.lifecycle.purge import purge
from .store.lifecycle.redrive import redrive
from .store.lifecycle.replay import replay
from .store.lifecycle.run_now import run_now
from .store.limits.reopen import reopen_limit
from .store.queues import pause, resume, set_max_running
from .store.results.retention import expire_results
from .store.schedules.definitions import delete_schedule, pause_schedule, resume_schedule, save_schedule
from .store.schedules.tick import ManualTickResult, run_schedule
from .store.search.jobs import find_jobs
from .store.search.keys import find_keys, find_once, keys_of_job
from .store.selection import DeadLetterTarget, JobTarget, Target
from .store.stats.counts import open_dead_letter_count, queue_stats
from .store.stats.dashboard import dashboard_snapshot
from .store.status import read_statuses
from .store.workers import stop_worker

__all__ = [  # noqa: RUF022 - grouped by what they act on
    # Targets
    "JobTarget",
    "DeadLetterTarget",
    "Target",
    # Jobs
    "cancel",
    "CancelResult",
    "retry",
    "redrive",
    "run_now",
    "purge",
    "replay",
    "prune",
    "why_not_running",
    "find_jobs",
    "find_keys",
    "find_once",
    "keys_of_job",
    "read_statuses",
    # Dead letters
    "resolve",
    "set_dead_letter_note",
    "mute",
    "unmute",
    "set_group_note",
    "groups_page",
    "find_group",
    "open_dead_letter_count",
    # Batches
    "cancel_batch",
    "batch_progress",
    "batch_progress_by_id",
    "Progress",
    # Queues
    "pause",
    "resume",
    "set_max_running",
    "queue_stats",
    "dashboard_snapshot",
    # Limits
    "reopen_limit",
    # Schedules
    "save_schedule",
    "pause_schedule",
    "resume_schedule",
    "delete_schedule",
    "run_schedule",
    "ManualTickResult",
    # Workers
    "stop_worker",
]


def retry(target: Target, *, by: str = "", using: str | None = None) -> int:
    """Redrive the target's dead jobs and run its scheduled ones now; return how many."""
    return redrive(target, by=by, using=using) + run_now(target, by=by, using=using)


def prune(*, using: str | None = None) -> int:
    """Delete everything older than its setting under ``RETENTION`` allows; return how many jobs were deleted.

    Workers do the same in small steps. Here all is deleted at once, in transactions of 2,000 rows.
    """
    settings = get_settings()
    pruned = prune_jobs(settings.retention.by_state, using=using)
    prune_records(settings.retention.by_state, alerted_for=settings.alerts.mail_admins_period, using=using)
    prune_ticks(settings.retention.ticks, using=using)
    prune_keys(using=using)
    prune_once(settings.retention.once, using=using)
    expire_results(using=using)
    return pruned.jobs
