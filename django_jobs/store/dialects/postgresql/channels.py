"""The channels of NOTIFY."""

CHANNEL = "django_jobs"
"""Wakes workers; the payload is the name of a queue that has a new job."""
SCHEDULERS_CHANNEL = "django_jobs_schedulers"
"""Tells schedulers that a schedule has changed."""
