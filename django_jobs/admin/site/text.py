"""Plain text answers: the full text of what a page shows cut."""

from __future__ import annotations

from django.http import HttpResponse


def text_response(text: str) -> HttpResponse:
    """Return ``text`` as a page that no browser takes for anything else. Lone surrogates are escaped."""
    response = HttpResponse(text.encode("utf-8", "backslashreplace"), content_type="text/plain; charset=utf-8")
    response["X-Content-Type-Options"] = "nosniff"
    return response
