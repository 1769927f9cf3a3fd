"""Amazon SQS: standard and FIFO queues.

How a message lies in a queue: the body as text, or in base64 if SQS cannot carry it as text; message attributes
``content-type``, ``ce-partitionkey`` (the key), ``ce-...`` for each attribute of CloudEvents, and one for each header.
A message has up to ten attributes: the headers that are no attribute are a JSON object in ``more-headers``.
"""

from .driver import SqsDriver

__all__ = ["SqsDriver"]
