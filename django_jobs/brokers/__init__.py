"""Messages in and out: ``publish`` sends one in the caller's transaction, ``@consumes`` makes those of others jobs.

A message follows these files::

    out  publishing.py (a job in the transaction) -> relay.py (500 of them in one call) -> Sender of a driver
    in   Source of a driver -> consumer.py (a batch) -> intake.py (jobs and position in one transaction) -> acknowledge

``interface.py`` is the contract of the drivers in ``drivers/``. Importing this package loads no model and no client.
"""

from .publishing import NewMessage, apublish, publish, publish_many
from .subscriptions import consumes

__all__ = ["NewMessage", "apublish", "consumes", "publish", "publish_many"]
