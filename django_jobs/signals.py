"""Signals of a job's lifecycle, and of the processes that run jobs; sent if there are receivers.

Every signal of a job has ``sender`` = the ``Job`` model and the argument ``job`` (a ``Job`` instance, read after the
change was committed); ``job_dead`` has ``dead_letter`` as well. An exception of a receiver is logged under
``django.dispatch`` and changes neither the job's outcome nor the worker. The process that made the change sends the
signal once; if it dies between commit and signal, the signal is lost. Work that must not be lost belongs into a job.

``worker_started`` and ``worker_stopping`` have ``sender`` = the ``Worker`` model and the arguments ``kind``
(``"worker"`` or ``"job process"``), ``pid``, and ``queues`` (a tuple of names, None for all). They are sent in each
worker process and in each job process, not in the supervisor. Connect receivers in ``AppConfig.ready()`` or a
``jobs.py``. An exception of a receiver is logged.

- ``worker_started``: Django is set up, and no job has run. The process waits for the receivers, however long they take:
  no job must run before what they open is there. SIGTERM waits for them; a supervisor kills what does not end.
- ``worker_stopping``: the last job has ended, or is left behind because the grace time is over. The process waits two
  seconds for all receivers together; they are called in a thread of their own. A process that is killed does not send
  it (``kill -9``, out of memory; a job process also at SIGQUIT, if it hangs, or if its worker has died).
"""

from __future__ import annotations

from django.dispatch import Signal

job_enqueued = Signal()
"""A job was enqueued, and its transaction was committed."""

job_started = Signal()
"""An attempt of a job has started."""

job_succeeded = Signal()
"""A job has succeeded."""

job_retried = Signal()
"""An attempt did not succeed, and the job is scheduled for another."""

job_dead = Signal()
"""A job is dead; ``dead_letter`` is its dead letter."""

job_cancelled = Signal()
"""A job was cancelled, waiting or running, by staff, code or its expiry."""

worker_started = Signal()
"""Django is set up in a process that runs jobs, and no job has run. The process waits for the receivers."""

worker_stopping = Signal()
"""The last job of a process has ended, or is left behind; the process waits two seconds for all receivers together."""
