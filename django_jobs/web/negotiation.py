"""What a client wants and a server can do: a page or JSON, an event stream or not."""

from __future__ import annotations

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

HTML = "text/html"


def prefers_html(request: HttpRequest) -> bool:
    """Tell whether the client is a browser that shows a page, and not a program."""
    preferred: str | None = request.get_preferred_type(["application/json", HTML])
    return preferred == HTML


def has_streams(request: HttpRequest) -> bool:
    """Tell whether answers can be streamed for minutes without a thread each: under ASGI."""
    return isinstance(request, ASGIRequest)
