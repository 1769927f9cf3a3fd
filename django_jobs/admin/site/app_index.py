"""Show the dashboard on the app's own index, on any AdminSite.

Django offers the app's index a template of its own, ``admin/django_jobs/app_index.html``, and takes further context.
So a site's own ``app_index`` still runs, and may answer as it likes. Without the context, which is there for users who
may see the dashboard, the template is that of the site's other apps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

from .permissions import APP

ReadContext = Callable[[HttpRequest], dict[str, Any] | None]
"""Returns the context of the dashboard, None if the index is to stay as it is."""
Wrap = Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]


def serve_dashboard(site: AdminSite, read_context: ReadContext, guard: Wrap) -> None:
    """Have the site show the dashboard on the app's index. Called again, it takes the newer functions.

    ``guard`` wraps the view, as it does with those of a ModelAdmin.
    """
    original = getattr(site.app_index, "original", site.app_index)

    def app_index(request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None) -> Any:
        context = read_context(request) if app_label == APP else None
        if context is None:
            return original(request, app_label, extra_context)
        return original(request, app_label, {**context, **(extra_context or {})})

    guarded = guard(app_index)

    def choose(request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None) -> Any:
        view = guarded if app_label == APP else original
        return view(request, app_label, extra_context)

    choose.original = original  # type: ignore[attr-defined]  # a mark of our own
    site.app_index = choose  # type: ignore[method-assign]


def shows_dashboard(site: AdminSite) -> bool:
    """Tell whether the app's index is certain to show the dashboard: no project has a view or template of its own."""
    is_django = getattr(type(site), "app_index", None) is AdminSite.app_index
    return is_django and site.app_index_template is None and hasattr(site.app_index, "original")


def index_url(site: AdminSite) -> str:
    """Return the address of the app's index."""
    return reverse(f"{site.name}:app_list", kwargs={"app_label": APP})


def dashboard_url(site: AdminSite) -> str:
    """Return the address at which the site shows the dashboard. Raises NoReverseMatch if it has none."""
    alias = reverse(f"{site.name}:django_jobs_dashboard")
    return index_url(site) if shows_dashboard(site) else alias
