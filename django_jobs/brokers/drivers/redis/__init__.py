"""Redis Streams (Redis 6.2 and Valkey): a log of one partition, or with ``group=`` a queue that a group shares.

How a message lies in a stream: the fields ``body``, ``content-type`` and ``key``, a field ``ce-...`` for each attribute
of CloudEvents, and one for each header. A message of others that has no field ``body`` is read as a JSON object of its
fields.
"""

from .driver import RedisDriver

__all__ = ["RedisDriver"]
