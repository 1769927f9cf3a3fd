"""RabbitMQ (AMQP 0-9-1): publishes to exchanges and queues with confirms, consumes queues, and reads streams.

How a message crosses: CloudEvents attributes are headers ``cloudEvents:...``; the key is the attribute ``partitionkey``
of them, because AMQP has no field for it; the stable id is also ``message_id``; delivery is persistent. A
queue that is a stream is a log.
"""

from .driver import RabbitDriver

__all__ = ["RabbitDriver"]
