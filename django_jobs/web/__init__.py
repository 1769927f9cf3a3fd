"""Floor 6: what became of a job, over HTTP: 202 Accepted, status, long polls, event streams, enqueue with a token.

``accepted(request, job)`` and ``status_url(job)`` are for the project's own views; ``django_jobs.urls`` has the rest.
"""

from .accepted import accepted
from .signing import status_url

__all__ = ["accepted", "status_url"]
