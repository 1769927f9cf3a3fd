"""Odd text on its way into a page and out of it: refused in an address or a form, shown as symbols in an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db.models import Field
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.urls import URLPattern, URLResolver
from django.utils.translation import gettext

from ...policy.filter_values import MAX_ID
from .text import show_controls

Refuse = Callable[[HttpRequest, str], HttpResponseBase]
View = Callable[..., HttpResponseBase]


def guard_pattern(
    pattern: URLPattern | URLResolver, refuse: Refuse, *, key: Field[Any, Any]
) -> URLPattern | URLResolver:
    """Return the pattern with a view that calls ``refuse`` with what is wrong, and shows control characters as symbols.

    ``key``: of the rows that are ticked.
    """
    if not isinstance(pattern, URLPattern):
        return pattern
    guarded = guard_view(pattern.callback, refuse, key=key)
    return URLPattern(pattern.pattern, guarded, pattern.default_args, pattern.name)


def guard_view(view: View, refuse: Refuse, *, key: Field[Any, Any]) -> View:
    """Return the view, guarded likewise."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **parts: Any) -> HttpResponseBase:
        problem = find_problem(request, [*args, *parts.values()], key)
        return show_controls(view(request, *args, **parts) if problem is None else refuse(request, problem))

    return guarded


def find_problem(request: HttpRequest, parts: list[Any], key: Field[Any, Any]) -> str | None:
    """Return what is wrong with the parts of the path, the parameters or the form; None if nothing is."""
    texts = (*map(str, parts), *_texts(request.GET), *_texts(request.POST))
    # PostgreSQL's texts cannot have it, and none of ours has.
    if any("\0" in text for text in texts):
        return gettext("Expected text; the address or the form has a NUL character. Nothing was changed.")
    ids: list[Any] = [part for part in parts if isinstance(part, int) and part > MAX_ID]
    ids += [given for given in request.POST.getlist(ACTION_CHECKBOX_NAME) if not _is_key(given, key)]
    if ids:
        return gettext("Expected the id of a row, got %(got)s. Nothing was changed.") % {"got": str(ids[0])[:40]}
    return None


def _texts(query: QueryDict) -> Iterator[str]:
    for name, values in query.lists():
        yield name
        yield from values


def _is_key(given: Any, key: Field[Any, Any]) -> bool:
    try:
        value = key.to_python(given)
    except (ValidationError, ValueError):
        return False
    return not isinstance(value, int) or abs(value) <= MAX_ID
