"""Jobs over HTTP, an app of its own: 202 Accepted, status pages, event streams, enqueue with a token.

``INSTALLED_APPS += ["django_jobs.web"]`` and ``path("jobs/", include("django_jobs.web.urls"))``.
``accepted(request, job)`` and ``status_url(job)`` are for the project's own views.
"""

from .links import status_url
from .responses import accepted

__all__ = ["accepted", "status_url"]
