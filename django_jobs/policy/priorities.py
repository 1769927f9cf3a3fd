"""Priorities of jobs: their range, and the lowest, which is for work that is to harm no other."""

from __future__ import annotations

MIN_PRIORITY, MAX_PRIORITY = -100, 100
BACKGROUND_PRIORITY = MIN_PRIORITY
"""Jobs of this priority are claimed when no other job waits, whatever the order of the queues."""
