"""Threads that repeat a step, survive a database outage and never die unseen."""
