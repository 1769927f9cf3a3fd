"""Floor 5: the processes that run jobs.

::

    supervisor ─ spawns, watches, replaces ─> child process
                                                │
    doorbell ──wakes──> claimer ──claims──> executors ──ended runs──> finisher
                          store/claim         run.py                  store/finish
    beside them: heartbeat (lease), maintenance (rescue, prune, alerts), announcer (signals)

Every arrow is a queue; every box that touches the database is a ``Loop`` with a connection of its own.
"""
