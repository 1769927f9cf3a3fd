"""Links to pages of other models: for users who may open them; others see the text alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.admin.exceptions import NotRegistered
from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.safestring import SafeString

from .permissions import APP

BACK_FIELD = "back"
"""The field of a form that keeps the page from which the user came."""


def may_open(request: HttpRequest, site: AdminSite, model: str) -> bool:
    """Tell whether the user may open the pages of a model of this app, such as ``job``; ask the site's admin for it."""
    try:
        model_admin = site.get_model_admin(apps.get_model(APP, model))
    except NotRegistered:
        return False
    return model_admin.has_view_permission(request)


def page_url(request: HttpRequest, site: AdminSite, model: str, pk: Any) -> str:
    """Return the address of a row's page; an empty text if the user may not open it."""
    return reverse(f"{site.name}:{APP}_{model}_change", args=[pk]) if may_open(request, site, model) else ""


def type_url(request: HttpRequest, site: AdminSite, name: str, **query: str) -> str:
    """Return the address of a job type's page; an empty text if the user may not open it."""
    if not may_open(request, site, "job"):
        return ""
    try:
        address = reverse(f"{site.name}:{APP}_job_type")
    except NoReverseMatch:  # a site with an admin of its own for jobs
        return ""
    return f"{address}?{urlencode({'name': name, **query})}"


def list_url(request: HttpRequest, site: AdminSite, model: str, query: str = "") -> str:
    """Return the address of a list, filtered by ``query``; an empty text if the user may not open it."""
    if not may_open(request, site, model):
        return ""
    address = reverse(f"{site.name}:{APP}_{model}_changelist")
    return f"{address}?{query}" if query else address


def previous_page(request: HttpRequest, site: AdminSite, default: str) -> str:
    """Return the page from which the user came, for a link back; ``default`` if that is not another page of this app.

    A form that is shown again keeps it in ``BACK_FIELD``; before that the browser's Referer tells it.
    """
    given = request.POST.get(BACK_FIELD) or request.META.get("HTTP_REFERER", "")
    if not url_has_allowed_host_and_scheme(given, {request.get_host()}):
        return default
    address = urlsplit(given)
    if not address.path.startswith(reverse(f"{site.name}:app_list", args=[APP])) or address.path == request.path:
        return default
    return f"{address.path}?{address.query}" if address.query else address.path


def link_to(url: str, text: Any) -> str | SafeString:
    """Return a link, or the text alone if there is no address."""
    return format_html('<a href="{}">{}</a>', url, text) if url else format_html("{}", text)


def page_link(request: HttpRequest, site: AdminSite, model: str, pk: Any, text: Any) -> str | SafeString:
    """Return a link to a row's page; the text alone if the user may not open it, "-" if there is no row."""
    return "-" if pk is None else link_to(page_url(request, site, model, pk), text)


def attach_request(rows: Iterable[Model], request: HttpRequest) -> None:
    """Have ``request_of`` return the request for each row: Django calls a column with nothing but the row."""
    for row in rows:
        vars(row)["shown_for"] = request


def request_of(row: Model) -> HttpRequest:
    """Return the request whose page shows the row."""
    request: HttpRequest = vars(row)["shown_for"]
    return request
