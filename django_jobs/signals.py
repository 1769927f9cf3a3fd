"""The signals of a job's life, and how they are sent: contained, and only where somebody listens.

Every signal has ``sender`` = the ``Job`` model and the argument ``job`` (a ``Job`` instance, read after
the change was committed); ``job_dead`` has ``dead_letter`` as well. A receiver that raises is logged
under ``django.dispatch`` and changes nothing: neither the job's outcome nor the worker. Signals are
sent once by the process that made the change; one that dies between the commit and the signal does
not send it. What must happen for certain belongs into a job.
"""

from __future__ import annotations

from django.dispatch import Signal

job_enqueued = Signal()
job_started = Signal()
job_succeeded = Signal()
job_retried = Signal()
job_dead = Signal()
job_cancelled = Signal()
