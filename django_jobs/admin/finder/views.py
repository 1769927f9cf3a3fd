"""The search of everything: a page that needs no script, and the answer for the dialog that Ctrl-K opens."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...policy.name_search import MAX_QUERY_LENGTH
from ..site.page_admin import PageAdmin
from .sections import Section, find_everything


def finder_urls(model_admin: PageAdmin[Any]) -> list[URLPattern]:
    """Return the addresses of the page and of the answer, for a ModelAdmin's ``get_urls``.

    Whoever may enter the admin may search; each finds what he or she may open.
    """
    finder, view = Finder(model_admin), model_admin.admin_site.admin_view
    return [
        path("find/", view(finder.page), name="django_jobs_find"),
        path("find/results/", view(finder.results), name="django_jobs_find_results"),
    ]


class Finder:
    """The views on the site of one admin."""

    def __init__(self, model_admin: PageAdmin[Any]) -> None:
        self._admin = model_admin

    def page(self, request: HttpRequest) -> HttpResponse:
        """Show a form and what was found."""
        query, sections, message = self._search(request)
        context = self._admin.page_context(
            request, title=_("Search"), query=query, sections=sections, message=message, max_length=MAX_QUERY_LENGTH
        )
        return TemplateResponse(request, "admin/django_jobs/find.html", {**context, "breadcrumbs": []})

    def results(self, request: HttpRequest) -> JsonResponse:
        """Return what was found, by kind."""
        query, sections, message = self._search(request)
        groups = [
            {"title": str(one.title), "message": one.message, "items": [asdict(item) for item in one.items]}
            for one in sections
        ]
        response = JsonResponse({"query": query, "message": message, "groups": groups})
        response["Cache-Control"] = "no-store"
        return response

    def _search(self, request: HttpRequest) -> tuple[str, list[Section], str]:
        """Return the text, what was found, and a message if there is nothing."""
        request.current_app = self._admin.admin_site.name
        query = request.GET.get("q", "").strip()
        if len(query) > MAX_QUERY_LENGTH:
            text = gettext("Expected at most %(max)d characters, got %(number)d.")
            return query[:MAX_QUERY_LENGTH], [], text % {"max": MAX_QUERY_LENGTH, "number": len(query)}
        sections = find_everything(request, self._admin.admin_site, query)
        return query, sections, "" if sections else gettext("Nothing found.")
