"""Text in the answers of the admin: what a job or a caller has chosen is read as it is, and acts on nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
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
        response.add_post_render_callback(_show_controls)
    elif isinstance(response, HttpResponse):
        _show_controls(response)
    return response


def rewrite_response(response: HttpResponse, rewrites: Mapping[str, Callable[[str], str]]) -> None:
    """Rewrite the text of an answer by the function for its content type: of JSON each of its strings."""
    content_type = response.get("Content-Type", "").partition(";")[0]
    rewrite = rewrites.get(content_type)
    if rewrite is None:
        return
    text = response.content.decode(response.charset)
    is_json = content_type == "application/json"
    shown = json.dumps(_map_strings(json.loads(text), rewrite)) if is_json else rewrite(text)
    if shown != text:
        response.content = shown.encode(response.charset)


def _show_controls(response: HttpResponse) -> None:
    rewrite_response(response, _VISIBLE)


def _visible_html(html: str) -> str:
    if visible(html) == html:
        return html
    return "".join(part if at % 2 else visible(part) for at, part in enumerate(_FIELDS.split(html)))


def _map_strings(value: Any, rewrite: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {rewrite(key): _map_strings(one, rewrite) for key, one in value.items()}
    if isinstance(value, list):
        return [_map_strings(one, rewrite) for one in value]
    return rewrite(value) if isinstance(value, str) else value


_VISIBLE = {"text/html": _visible_html, "text/plain": visible, "application/json": visible}
