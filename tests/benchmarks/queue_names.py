"""The queues of the benchmark: of the engine's jobs and of the limit's, which know nothing of Django."""

QUEUE = "default"
WARM_UP_QUEUE = "warm-up"
OTHER_QUEUE = "other"
"""A queue that no worker of the benchmark serves."""
