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
from .hooks import hook_metadata_by_name
from .models import CronSchedule
from .policy.cancellation import CancelResult
from .store.batches.batch import Progress, batch_progress, batch_progress_by_id
from .store.dead_letters.groups import find_group, groups_page
from .store.dead_letters.mute import mute, set_group_note, unmute
from .store.dead_letters.resolve import resolve, set_dead_letter_note
from .store.dead_letters.resolve_group import GroupResolution, resolve_group, undo_resolve_group
from .store.doctor.why_not_running import why_not_running
from .store.enqueue.prune_keys import prune_keys, prune_once
from .store.lifecycle.cancel import cancel
from .store.lifecycle.cancel_batch import cancel_batch
from .store.lifecycle.kill import kill_worker
from .store.lifecycle.move import move
from .store.lifecycle.prioritize import set_priority
from .store.lifecycle.prune import prune as prune_jobs
from .store.lifecycle.prune import prune_records, prune_ticks
from .store.lifecycle.purge import purge
from .store.lifecycle.redrive import redrive
from .store.lifecycle.replay import replay as copy_jobs
from .store.lifecycle.run_now import run_now
from .store.limits.reopen import reopen_limit
from .store.messages.inbox import prune_inbox
from .store.messages.sources import pause_source, resume_source
from .store.queues import pause, register_queues, resume, set_max_running
from .store.results.retention import expire_results
from .store.schedules.definitions import delete_schedule, pause_schedule, resume_schedule, save_schedule
from .store.schedules.tick import ManualTickResult
from .store.schedules.tick import run_schedule as fire_by_hand
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
    "move",
    "set_priority",
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
    "resolve_group",
    "GroupResolution",
    "undo_resolve_group",
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
    "register_queues",
    "queue_stats",
    "dashboard_snapshot",
    # Messages
    "pause_source",
    "resume_source",
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
    "kill_worker",
]


def retry(target: Target, *, by: str = "", priority: int | None = None, using: str | None = None) -> int:
    """Redrive the target's dead jobs and run its scheduled ones now; return how many.

    ``priority`` None: each job keeps its own.
    """
    redriven = redrive(target, by=by, priority=priority, using=using)
    return redriven + run_now(target, by=by, priority=priority, using=using)


def replay(target: JobTarget, *, using: str | None = None) -> list[int]:
    """Enqueue a copy of each of the target's jobs; return the copies' ids in the order of the originals.

    ``target`` is a job, its id, or a queryset of jobs without a slice. A copy has the same name, queue, priority,
    maximum of attempts, arguments and metadata, with ``copy_of`` added, and what hooks add. It depends on no other job:
    results passed to the original are among its arguments. Jobs enqueued after the start are not copied. One
    transaction per 500 jobs. Raises ResultNotPassedError if such a result no longer exists, and what a hook raises.
    """
    return copy_jobs(target, metadata_source=hook_metadata_by_name, using=using)


def run_schedule(schedule: CronSchedule, *, by: str = "", using: str | None = None) -> ManualTickResult:
    """Fire a schedule at once, also a paused one; its own times stay. One transaction.

    Overlap with the schedule's other jobs is handled as for any tick. ``by`` is stored with the tick. Raises
    ConfigurationError if the schedule was deleted, is disabled or has a problem, and what a hook raises.
    """
    return fire_by_hand(schedule, by=by, metadata_source=hook_metadata_by_name, using=using)


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
    prune_inbox(settings.retention.inbox, using=using)
    expire_results(using=using)
    return pruned.jobs
