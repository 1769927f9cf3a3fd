"""Google Cloud Pub/Sub: publishes to topics by unary requests, and pulls subscriptions.

How a message crosses: its key is the ordering key; CloudEvents attributes are attributes ``ce-...``, beside
``content-type`` and the publisher's headers; the body is the data. A subscription is a queue: one that is pulled is
read by ``queue.py``, one that Pub/Sub pushes comes in by ``django_jobs/web/push.py``.
"""

from .driver import PubSubDriver

__all__ = ["PubSubDriver"]
