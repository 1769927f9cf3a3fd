"""The app's menu in the order of use: Django sorts by name. What is rarely needed is behind *More*."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import escape
from django.utils.translation import gettext

from ...models import Job
from .app_index import dashboard_url, shows_dashboard
from .permissions import APP, has_permission

ORDER = ("Dashboard", "DeadLetter", "Job", "JobType", "Queue", "Worker", "CronSchedule", "Batch")
"""Object names of the entries in front. The others follow by name, in the side bar and the index behind *More*."""


def arrange_menu(site: AdminSite) -> None:
    """Have the site list this app's models in ``ORDER``, whatever else its ``get_app_list`` does.

    AdminSite has no hook for the order of models, and a project's site is not ours to subclass.
    """
    original = site.get_app_list
    if getattr(original, "is_arranged", False):
        return

    def get_app_list(request: HttpRequest, *args: Any, **kwargs: Any) -> list[Any]:
        apps: list[Any] = original(request, *args, **kwargs)
        is_whole = bool(args or kwargs.get("app_label"))
        for app in apps:
            if app["app_label"] == APP:
                app["models"] = _entries(site, request, app, is_whole=is_whole)
        return apps

    get_app_list.is_arranged = True  # type: ignore[attr-defined]  # a mark of our own
    site.get_app_list = get_app_list  # type: ignore[method-assign]


def _entries(site: AdminSite, request: HttpRequest, app: dict[str, Any], *, is_whole: bool) -> list[dict[str, Any]]:
    """Return the entries in order. The app's own page has all, others those in front, the current one, and *More*."""
    entries = [*_dashboard(site, request, app["models"]), *_types(site, request, app["models"]), *app["models"]]
    for entry in app["models"]:
        if entry["object_name"] == "DeadLetter":
            _lead_to_groups(site, entry)
    front = sorted((entry for entry in entries if entry["object_name"] in ORDER), key=_place)
    rest = [entry for entry in entries if entry["object_name"] not in ORDER]
    if is_whole or not rest:
        return front + rest
    current = [entry for entry in rest if entry["admin_url"] and entry["admin_url"] in request.path]
    more = _entry(gettext("More …"), "More", f"{app['app_url']}#jobs-pages")
    return [*front, *current, more]


class _SectionAddress(str):
    """The address under which all pages of an entry are, which is written as that of its first page.

    Django marks the entry whose address is part of the page's: that of the groups is part of no dead letter's.
    """

    first_page: str

    def __html__(self) -> str:
        return escape(self.first_page)


def first_page_url(entry: dict[str, Any]) -> str:
    """Return the address to which an entry leads; as JSON its ``admin_url`` is that under which its pages are."""
    address: str = entry["admin_url"]
    return address.first_page if isinstance(address, _SectionAddress) else address


def _lead_to_groups(site: AdminSite, entry: dict[str, Any]) -> None:
    """Have the entry of dead letters lead to their groups, and be marked on all their pages."""
    if not entry["admin_url"]:
        return
    with suppress(NoReverseMatch):  # a site with an admin of its own for them
        groups = reverse(f"{site.name}:django_jobs_deadlettergroups")
        entry["admin_url"] = _SectionAddress(entry["admin_url"])
        entry["admin_url"].first_page = groups


def _place(entry: dict[str, Any]) -> int:
    return ORDER.index(entry["object_name"])


def _dashboard(site: AdminSite, request: HttpRequest, models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entry of the dashboard for users who may see it, and do not mark Queues if it is under its address."""
    if not has_permission(request, "view_job"):
        return []
    try:
        address = dashboard_url(site)
    except NoReverseMatch:  # a site without the queues' page
        return []
    if shows_dashboard(site):
        # The menu marks an entry whose address is part of the page's, which the app's is of every page.
        return [_entry(gettext("Dashboard"), "Dashboard", address if request.path == address else f"{address}?")]
    for entry in models:
        if entry["object_name"] == "Queue" and entry["admin_url"] and request.path.startswith(address):
            entry["admin_url"] += "?"
    return [_entry(gettext("Dashboard"), "Dashboard", address)]


def _types(site: AdminSite, request: HttpRequest, models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entry of the job types for users who may see them, and do not mark Jobs, under whose address it is."""
    jobs = [entry for entry in models if entry["object_name"] == "Job" and entry["admin_url"]]
    try:
        address = reverse(f"{site.name}:django_jobs_job_types")
    except NoReverseMatch:  # a site without the page
        return []
    if request.path.startswith(address):
        for entry in jobs:
            entry["admin_url"] += "?"
    return [_entry(gettext("Types"), "JobType", address)] if jobs else []


def _entry(name: str, object_name: str, address: str) -> dict[str, Any]:
    """Return an entry that is no model's own, with the keys of Django's."""
    return {
        "model": Job,
        "name": name,
        "object_name": object_name,
        "perms": {"add": False, "change": False, "delete": False, "view": True},
        "admin_url": address,
        "add_url": None,
        "view_only": True,
    }
