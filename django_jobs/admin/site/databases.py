"""Have each page of the admin act on the database that its address names, where jobs are in several.

The address names it, ``?database=eu``, and so does each form that the page shows. One wrapper around all views reads
the name, takes it out of the parameters, and runs the view on that database; ``named_addresses.py`` puts it into every
link and form of the answer. There is no other memory of the choice: what another tab shows cannot change it. A form
that names none, or another than its address, is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import wraps
from typing import Any, Protocol

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote, unquote
from django.db import Error, connections
from django.http import HttpRequest, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.urls import URLPattern, URLResolver, reverse
from django.utils.translation import gettext

from ... import registry
from ...conf import get_settings
from ...conf.database import current_database, use_database
from ...policy.job_ids import JobId, parse_job_id
from .app_index import index_url
from .named_addresses import PARAMETER, name_database, name_in_response

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponseBase]
OF_ONE_LIST = ("below", "p", "e", "ids")
"""Parameters of a list that mean nothing in another database: its place in it, ids, an error."""


class Section(Protocol):
    """The pages of one model, as the wrapper knows them: a ``PageAdmin``."""

    @property
    def admin_site(self) -> AdminSite:
        """The site on which they are."""

    @property
    def section_url(self) -> str:
        """The address of the first of these pages, which each database has."""

    def only_database(self) -> str | None:
        """Return the one database in which these rows are; None if each has some."""

    def refuse(self, request: HttpRequest, text: str) -> HttpResponseBase:
        """Say what was wrong."""


def on_named_database(view: View, section: Section) -> View:
    """Return the view, which acts on the database that the address or the form names. With one it is as it was."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **parts: Any) -> HttpResponseBase:
        if not get_settings().has_many_databases:
            return view(request, *args, **parts)
        if (elsewhere := _other_address(request, section, parts)) is not None:
            return HttpResponseRedirect(elsewhere)
        alias, problem = _read_name(request, section)
        if problem:
            return section.refuse(request, problem)
        request.GET, request.POST = _without_name(request.GET), _without_name(request.POST)  # type: ignore[assignment]
        with use_database(alias):
            return _Answer(request, section, alias, is_of_row=bool(args or parts.keys() - {"app_label"})).of(
                lambda: view(request, *args, **parts)
            )

    return wrapped


def pattern_on_named_database(pattern: URLPattern | URLResolver, section: Section) -> URLPattern | URLResolver:
    """Return the pattern with its view wrapped."""
    if not isinstance(pattern, URLPattern):
        return pattern
    return URLPattern(pattern.pattern, on_named_database(pattern.callback, section), pattern.default_args, pattern.name)


def _read_name(request: HttpRequest, section: Section) -> tuple[str, str]:
    """Return the alias, and what is wrong with it, if anything. The first database may go unnamed, but in no form."""
    settings = get_settings()
    given = {one for names in (request.GET, request.POST) for one in names.getlist(PARAMETER)}
    alias = next(iter(given), section.only_database() or settings.database)
    if len(given) > 1:
        names = ", ".join(sorted(given))
        return alias, gettext("Expected one database, got %(names)s. Nothing was changed.") % {"names": names[:80]}
    if alias not in settings.aliases:
        return alias, gettext("Expected a database of jobs, got %(name)s. Nothing was changed.") % {"name": alias[:40]}
    if request.method == "POST" and not given:
        return alias, gettext("The form names no database. Nothing was changed: reload its page, and submit it again.")
    if alias != (only := section.only_database() or alias):
        return alias, gettext("These rows are in the database %(name)s. Nothing was changed.") % {"name": only}
    return alias, ""


def _other_address(request: HttpRequest, section: Section, parts: dict[str, Any]) -> str | None:
    """Return the address that names the database, if this one has it in the id, or the rows are in another."""
    if request.method not in {"GET", "HEAD"}:
        return None
    named, only = request.GET.get(PARAMETER), section.only_database()
    if named is None and (logged := _parse_logged_id(parts.get("object_id"))) is not None and request.resolver_match:
        alias, row_id = logged
        name = request.resolver_match.view_name
        address = reverse(name, kwargs={**request.resolver_match.kwargs, "object_id": quote(row_id)})
        query = request.GET.urlencode()
        return name_database(f"{address}?{query}" if query else address, alias)
    if only is not None and named in get_settings().aliases and named != only:
        return _address_in(request, only)
    return None


def _address_in(request: HttpRequest, alias: str) -> str:
    query = request.GET.copy()
    for name in (PARAMETER, *OF_ONE_LIST):
        query.pop(name, None)
    return name_database(f"{request.path}?{query.urlencode()}".rstrip("?"), alias)


def _without_name(query: QueryDict) -> QueryDict:
    if PARAMETER not in query:
        return query
    rest = query.copy()
    del rest[PARAMETER]
    return rest


class _Answer:
    """The answer of a view for one database: rendered and streamed on it, every address of it names it."""

    def __init__(self, request: HttpRequest, section: Section, alias: str, *, is_of_row: bool) -> None:
        self._request, self._section, self._alias = request, section, alias
        self._is_of_row = is_of_row
        self._index = index_url(section.admin_site)
        self._roots = (self._index, request.path)

    def of(self, view: Callable[[], HttpResponseBase]) -> HttpResponseBase:
        """Return it; a page that says so if the database does not answer."""
        try:
            response = view()
        except Error as error:
            if not _is_down(self._alias):
                raise
            return self._down_page(error)
        return self._finish(response)

    def _finish(self, response: HttpResponseBase) -> HttpResponseBase:
        if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
            response.context_data = {**(response.context_data or {}), "jobs_databases": self._switch()}
            response.render = self._rendering(response)  # type: ignore[method-assign]  # is called after the view
        elif isinstance(response, StreamingHttpResponse) and not response.is_async:
            response.streaming_content = _in_context(iter(response))
        name_in_response(response, self._alias, roots=self._roots)
        return response

    def _rendering(self, response: SimpleTemplateResponse) -> Callable[[], SimpleTemplateResponse]:
        render = response.render

        def rendered() -> SimpleTemplateResponse:
            with use_database(self._alias):
                return render()

        return rendered

    def _switch(self) -> list[dict[str, Any]]:
        """Return a link to the same list of each database; from a row's page to the list."""
        only = self._section.only_database()
        if only is not None:
            address = self._index
        elif self._is_of_row:
            address = self._section.section_url
        else:
            address = ""
        return [
            {
                "alias": alias,
                "url": name_database(address, alias) if address else _address_in(self._request, alias),
                "is_current": alias == self._alias,
            }
            for alias in get_settings().aliases
        ]

    def _down_page(self, error: Exception) -> HttpResponseBase:
        logger.warning("database %r does not answer to the admin: %s", self._alias, error)
        site = self._section.admin_site
        self._request.current_app = site.name
        text = gettext("The database %(name)s does not answer.") % {"name": self._alias}
        context = {**site.each_context(self._request), "title": text, "jobs_databases": self._switch()}
        page = TemplateResponse(self._request, "admin/django_jobs/database_down.html", context, status=503)
        name_in_response(page, self._alias, roots=self._roots)
        return page


def _is_down(alias: str) -> bool:
    """Tell whether there is no connection that can be used."""
    connection = connections[alias]
    return connection.connection is None or not connection.is_usable()


def _in_context(lines: Iterator[Any]) -> Iterator[Any]:
    """Read the lines in the context of now: they are read after the view, and a generator has no context of its own."""
    context, end = copy_context(), object()

    def read() -> Any:
        return context.run(next, lines, end)

    return iter(read, end)


def shown_id(number: Any) -> str:
    """Return the id of a row of the database in use as pages show it: "eu:4711", with one database "4711"."""
    return f"{current_database()}:{number}" if get_settings().has_many_databases else str(number)


def row_text(number: Any) -> str:
    """Return a row's id as it stands in a text: "#4711", of several databases "eu:4711"."""
    return shown_id(number) if get_settings().has_many_databases else f"#{number}"


def find_named_job(text: str) -> JobId | None:
    """Return the job that a text is the id of: "4711", "eu:4711", or an id of another way, such as a Task result's.

    A number alone is in no database yet; an id of another way always is in one.
    """
    settings = get_settings()
    if (found := registry.find_job_id(text)) is not None:
        return found._replace(database=found.database or settings.database)
    return parse_job_id(text, databases=settings.databases)


def logged_id(row_id: Any, alias: str | None) -> str:
    """Return the id under which the admin's log has a row: of other databases than the first with its name."""
    settings = get_settings()
    is_plain = not settings.has_many_databases or alias in (None, settings.database)
    return str(row_id) if is_plain else f"{alias}:{row_id}"


def _parse_logged_id(quoted: Any) -> tuple[str, str] | None:
    """Return database and id of an address that the admin's log links to."""
    if not isinstance(quoted, str):
        return None
    alias, colon, row_id = unquote(quoted).partition(":")
    return (alias, row_id) if colon and alias in get_settings().aliases else None
