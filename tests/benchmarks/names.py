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
    "waiting": "  {waiting:,} others waiting",
    "scheduled": "  {scheduled:,} dated in the future",
    "finished": "  {finished:,} finished in the table",
    "snapshot": "  an old snapshot held open",
    "queues": "{queues:,} queues of one job, network of 5 ms",
    "keyed_rate": "  a rate limit by 1,000 keys, to plain",
    "keyed_concurrency": "  4 at once by 1,000 keys, to plain",
    "in_order": "  one after another by 1,000 keys, to plain",
    "batch": "  in one batch",
    "chain": "a chain of {chain:,} links",
    "graph": "a graph {wide:,} wide and {deep:,} deep",
    "latency": "enqueue to start, every 20 to 60 ms",
    "latency_quiet": "enqueue to start, after a quiet second",
    "schedules": "{schedules:,} schedules due at once",
    "on_time": "due to ready, one schedule a second",
    "pages": "admin pages, {page_jobs:,} jobs to {few_jobs:,}",
    "idle": "idle worker",
}

DRAINS = ("drain", "drain_one_thread", "waiting", "scheduled", "finished", "snapshot", "batch")
FEATURES = ("keyed_rate", "keyed_concurrency", "in_order")
"""Drains whose "limit" is the plain drain, taken in turns with them."""
