"""The processes that run jobs.

::

    supervisor ─ spawns, watches, replaces ─> worker process
                                                │
    notifier ──pauses─> claimer ──claims──> executors ──finished runs──> finisher
                          store/claim         run.py                      store/finish
    beside them: heartbeat (lease), maintenance (rescue, prune, alerts), scheduler, announcer (signals)

Every arrow is a queue; every part that uses the database is a ``Loop`` with a connection of its own. The parts
report to the worker through ``WorkerEvents``. Folders import downwards only: process, worker, pipeline, duties,
executors, execution, threads.
"""
