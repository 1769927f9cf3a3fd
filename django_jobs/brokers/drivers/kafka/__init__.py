"""Kafka, and what speaks its protocol: topics as logs, whose positions are offsets in the database.

How a message lies in a topic: its key, its body as the value, and as headers ``content-type``, a ``ce_...`` for each
attribute of CloudEvents, and the publisher's own. No group of Kafka shares the partitions; consumers do so by rows.
"""

from .driver import KafkaDriver

__all__ = ["KafkaDriver"]
