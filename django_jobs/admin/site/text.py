"""Text in the answers of the admin: what a job or a caller has chosen is read as it is, and acts on nothing."""

from __future__ import annotations

import json
import re
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse

from ...policy.printable import visible

_FIELDS = re.compile(r'(\bvalue="[^"]*"|<textarea\b.*?</textarea>)', re.DOTALL)
"""What a form posts back, which is left as it is."""


def text_response(text: str) -> HttpResponse:
    """Return ``text`` as a page that no browser takes for anything else. Lone surrogates are escaped."""
    response = HttpResponse(text.encode("utf-8", "backslashreplace"), content_type="text/plain; charset=utf-8")
    response["X-Content-Type-Options"] = "nosniff"
    return response


def show_controls(response: HttpResponseBase) -> HttpResponseBase:
    """Show control characters as symbols in a page, in a text, and in the JSON that a page's script shows.

    Done where all pages pass, so that no page and no column can forget it. Downloads are data and are left alone.
    """
    if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
        response.add_post_render_callback(_rewrite)
    elif isinstance(response, HttpResponse):
        _rewrite(response)
    return response


def _rewrite(response: HttpResponse) -> None:
    rewrite = _REWRITES.get(response.get("Content-Type", "").partition(";")[0])
    if rewrite is not None:
        text = response.content.decode(response.charset)
        shown = rewrite(text)
        if shown != text:
            response.content = shown.encode(response.charset)


def _visible_html(html: str) -> str:
    if visible(html) == html:
        return html
    return "".join(part if at % 2 else visible(part) for at, part in enumerate(_FIELDS.split(html)))


def _visible_json(text: str) -> str:
    return json.dumps(_visible_value(json.loads(text)))


def _visible_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {visible(key): _visible_value(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_visible_value(one) for one in value]
    return visible(value) if isinstance(value, str) else value


_REWRITES = {"text/html": _visible_html, "text/plain": visible, "application/json": _visible_json}
