"""Signals of a job's lifecycle, sent if there are receivers.

Every signal has ``sender`` = the ``Job`` model and the argument ``job`` (a ``Job`` instance, read after the change was
committed); ``job_dead`` has ``dead_letter`` as well. An exception of a receiver is logged under ``django.dispatch`` and
changes neither the job's outcome nor the worker. The process that made the change sends the signal once; if it dies
between commit and signal, the signal is lost. Work that must not be lost belongs into a job.
"""

from __future__ import annotations

from django.dispatch import Signal

job_enqueued = Signal()
job_started = Signal()
job_succeeded = Signal()
job_retried = Signal()
job_dead = Signal()
job_cancelled = Signal()
