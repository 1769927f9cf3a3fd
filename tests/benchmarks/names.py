"""The measures by name, in the order in which they are taken, and what the table calls them."""

MEASURES = {
    "enqueue": "enqueue one at a time, autocommit",
    "unique": "  unique by an argument",
    "unique_again": "  unique, and one waits already",
    "idempotent": "  with an idempotency key",
    "enqueue_many": "enqueue_many of {bulk:,}",
    "enqueue_stream": "enqueue_stream of {stream:,}",
    "drain": "drain of {drain:,}",
    "drain_one_thread": "  with --concurrency 1",
    "drain_two_processes": "  with two processes",
    "waiting": "  {waiting:,} others waiting",
    "scheduled": "  {scheduled:,} dated in the future",
    "finished": "  {finished:,} finished in the table",
    "snapshot": "  an old snapshot held open",
    "queues": "{queues:,} queues of one job, network of 5 ms",
    "keyed_rate": "  a rate limit by 1,000 keys, to plain",
    "keyed_concurrency": "  4 at once by 1,000 keys, to plain",
    "in_order": "  one after another by 1,000 keys, to plain",
    "tasks": "  Tasks of Django, to plain",
    "chunks": "  in chunks of 500, to plain",
    "batch": "  in one batch",
    "pruning": "drain of {pruning:,} while as many are pruned",
    "soak": "soak of {soak_minutes} min, 8 threads, 2 workers",
    "fleet": "{fleet_jobs:,} jobs of 100 ms, 8 workers on 4 hosts",
    "idle_fleet": "{idle_workers:,} idle workers",
    "job_cost": "what a job costs the server",
    "chain": "a chain of {chain:,} links",
    "graph": "a graph {wide:,} wide and {deep:,} deep",
    "latency": "enqueue to start, every 20 to 60 ms",
    "latency_quiet": "enqueue to start, after a quiet second",
    "latency_redis": "  the same, woken by a Redis, to without it",
    "schedules": "{schedules:,} schedules due at once",
    "on_time": "due to ready, one schedule a second",
    "publish": "{messages:,} messages out, to one a flush",
    "consume_log": "{messages:,} in from a log, to enqueue_many of 500",
    "consume_queue": "{messages:,} in from a queue, to the same",
    "pages": "admin pages, {page_jobs:,} jobs to {few_jobs:,}",
    "idle": "idle worker",
    "connections": "connections of a worker",
    "memory": "memory of a worker, to a bare Django's",
    "start": "runworker to its first job, to check",
}

MESSAGES = ("publish", "consume_log", "consume_queue")
"""Measures with a row for each broker that could be started."""
BROKERS = (
    "kafka",
    "rabbitmq",
    "rabbitmq-quorum",
    "rabbitmq-stream",
    "redis-group",
    "redis-stream",
    "sqs",
    "sqs-fifo",
    "pubsub",
)
"""What ``--broker`` takes. ``rabbitmq``: durable classic queues; ``-quorum``: what the driver itself creates."""
DRAINS = ("drain", "drain_one_thread", "waiting", "scheduled", "finished", "snapshot", "batch")
FEATURES = ("keyed_rate", "keyed_concurrency", "in_order", "tasks", "chunks")
"""Drains whose "limit" is the plain drain, taken in turns with them."""
