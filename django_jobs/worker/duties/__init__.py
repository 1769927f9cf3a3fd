"""Background duties of a worker process: heartbeat, maintenance, scheduler, notifications, cancellation requests."""
