"""Rescue the jobs of worker processes that died, as soon as the database takes it."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import NamedTuple

from django.db import Error as DatabaseError
from django.db import connections

from ... import registry
from ...conf import Settings, get_settings
from ...conf.database import use_database
from ...models import Job
from ...observers import tell_runs_ended
from ...policy.plurals import counted
from ...policy.states import State
from ...store.clock import database_now
from ...store.lifecycle.finish import finish
from ...store.lifecycle.rescue import rescue_worker
from ...store.lifecycle.signals import announce_ends
from ...store.lifecycle.unanswered_claims import as_claim
from ...store.readiness import reason_of
from ..execution.classify import outcome_of_timeout
from ..execution.events import LogUpdate, ProgressUpdate
from ..execution.finalize import finalize
from ..execution.runtime import RunContext
from .worker_child import TimedOutJob

logger = logging.getLogger("django_jobs.worker")


class LostWorker(NamedTuple):
    """A worker that died. ``ran``: jobs that had started. ``timed_out_job``: the one for which it was killed.

    ``was_requested``: staff asked for its end.
    """

    worker_id: int
    ran: frozenset[int]
    reason: str
    timed_out_job: TimedOutJob | None = None
    was_requested: bool = False


class Rescues:
    """The workers of one database whose jobs are to be rescued; ``step`` tries all."""

    def __init__(self, alias: str) -> None:
        self.pending: list[LostWorker] = []
        self._alias = alias
        self._thread: threading.Thread | None = None

    def step_in_thread(self) -> None:
        """Do a step in a thread of its own, if there is something to do and the last one has ended."""
        if self.pending and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self.step, name="jobs-rescues", daemon=True)
            self._thread.start()

    def finish(self, seconds: float) -> None:
        """Do a last step in a thread; wait for its end, or for ``seconds`` if the database does not answer."""
        deadline = time.monotonic() + seconds
        for _ in range(2):  # a step that was going on may have missed those that were added last
            self.step_in_thread()
            if self._thread is not None:
                self._thread.join(max(deadline - time.monotonic(), 0))

    def step(self) -> None:
        """Rescue the claims of dead processes; an error of the database leaves the rest for the next round."""
        if not self.pending:
            return
        settings = get_settings().for_database(self._alias)
        try:
            with use_database(self._alias):
                while self.pending:
                    _rescue(self.pending[0], settings)
                    del self.pending[0]
        except (DatabaseError, OSError) as error:
            logger.warning("claims of a dead process could not be rescued yet: %s", reason_of(error))
        except Exception:
            logger.critical("claims of a dead process could not be rescued yet", exc_info=True)
        finally:
            connections.close_all()


def _rescue(loss: LostWorker, settings: Settings) -> None:
    if loss.timed_out_job is not None and loss.timed_out_job.database == settings.database:
        _finish_timed_out(loss.worker_id, loss.timed_out_job.job_id, settings)
    rescued = rescue_worker(
        loss.worker_id,
        rules=settings.worker.rules,
        ran=loss.ran,
        reason=loss.reason,
        counts_as_death=loss.timed_out_job is None and not loss.was_requested,
        using=settings.database,
    )
    if rescued:
        logger.warning("rescued %s of worker %s", counted(rescued, "job"), loss.worker_id)


class _NoEvents:
    def progress(self, update: ProgressUpdate | LogUpdate) -> None:
        """Save nothing: no function runs."""


def _finish_timed_out(worker_id: int, job_id: int, settings: Settings) -> None:
    """Save the end of a run that was killed at its timeout, by the job's own options."""
    alias = settings.database
    job = Job.objects.using(alias).filter(pk=job_id, worker=worker_id, state=State.RUNNING).first()
    if job is None or registry.find(job.name) is None:
        return
    now = database_now(using=alias)
    claim = as_claim(job, now=now)._replace(metadata=json.dumps(job.metadata))
    context = RunContext(settings=settings, events=_NoEvents(), worker_id=worker_id, hooks=())
    context.clock.set(now)
    run = finalize(claim, outcome_of_timeout(claim, context), context, started=claim.claimed)
    if finish([run], worker_id=worker_id, using=alias):
        tell_runs_ended([run])
        announce_ends([run], worker_id=worker_id, using=alias)
