"""A shop's tasks for RQ, and moved by docs/how-to/rq.md."""
