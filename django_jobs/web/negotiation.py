"""Content negotiation: a page or JSON for this client, event streams from this server or not."""

from __future__ import annotations

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

HTML = "text/html"


def prefers_html(request: HttpRequest) -> bool:
    """Tell whether the client prefers a page to JSON, as browsers do."""
    preferred: str | None = request.get_preferred_type(["application/json", HTML])
    return preferred == HTML


def has_streams(request: HttpRequest) -> bool:
    """Tell whether the server can stream for minutes without a thread per client: under ASGI."""
    return isinstance(request, ASGIRequest)
