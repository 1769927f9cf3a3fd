"""Threads that repeat a step, survive database outages and never die silently."""
