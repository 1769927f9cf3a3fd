"""Write the database into every address and form of an answer, where jobs are in several.

Done where all pages pass, so that no page, no column and no template of Django's can forget it: a link leads to the
database of the page that shows it, a form acts on it, and the address that a colleague gets names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.utils.html import escape

from .text import rewrite_response

PARAMETER = "database"
"""Of an address, and of a form."""

_NAMED = re.compile(rf"[?&;]{PARAMETER}=")
_PLACES = re.compile(r'<form\b[^>]*>|(?<=\s)(href|action|formaction|data-[a-z-]+)="([^"<>]*)"')
_ACTION = re.compile(r'\saction="([^"]*)"')


def name_database(address: str, alias: str, *, separator: str = "&") -> str:
    """Return the address with the database as its parameter, unless it names one."""
    rest, mark, fragment = address.partition("#")
    if _NAMED.search(rest):
        return address
    path, _, query = rest.partition("?")
    return f"{path}?{query}{separator if query else ''}{PARAMETER}={alias}{mark}{fragment}"


def name_in_html(html: str, alias: str, *, roots: tuple[str, ...]) -> str:
    """Return a page, or a part of one, whose links and forms name the database.

    ``roots``: addresses that begin with one of them, and those that are a query alone, are of pages that show a
    database.
    Text is left alone: a quotation mark in it is escaped.
    """

    def is_of_database(address: str) -> bool:
        return address.startswith((*roots, "?"))

    def attribute(name: str, address: str) -> str:
        named = name_database(address, alias, separator="&amp;") if is_of_database(address) else address
        return f'{name}="{named}"'

    def place(found: re.Match[str]) -> str:
        if found[1]:
            return attribute(found[1], found[2])
        tag = found[0]
        action = _ACTION.search(tag)
        address = action[1] if action else ""
        if address and not is_of_database(address):
            return tag
        tag = _ACTION.sub(lambda at: " " + attribute("action", at[1]), tag)
        return f'{tag}<input type="hidden" name="{PARAMETER}" value="{escape(alias)}">'

    return _PLACES.sub(place, html)


def name_in_response(response: HttpResponseBase, alias: str, *, roots: tuple[str, ...]) -> None:
    """Have a page, a redirect, or the JSON that a script shows, name the database; a page when it is rendered."""

    def html(text: str) -> str:
        return name_in_html(text, alias, roots=roots)

    def value(text: str) -> str:
        return name_database(text, alias) if text.startswith(roots) else html(text)

    if (location := response.get("Location", "")).startswith((*roots, "?")):
        response["Location"] = name_database(location, alias)
    rewrites: dict[str, Callable[[str], Any]] = {"text/html": html, "application/json": value}
    if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
        response.add_post_render_callback(lambda rendered: rewrite_response(rendered, rewrites))
    elif isinstance(response, HttpResponse):
        rewrite_response(response, rewrites)
