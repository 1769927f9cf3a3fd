"""The menu: this app's pages in the order of use, and no "Change" where nothing can be changed."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory
from django.urls import reverse

from django_jobs.admin import JobAdmin
from django_jobs.models import CronSchedule, Job
from tests import factories

from .every_page import make_rows, page_addresses
from .staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

FRONT = ["Dashboard", "Dead letters", "Jobs", "Types", "Queues", "Workers", "Schedules", "Batches"]
WHOLE = [*FRONT, "Attempts", "Brokers", "Enqueue keys", "Limits", "Once records", "Ticks"]


def _menu(client: Client, address: str, part: str) -> list[str]:
    """Return the names of this app's entries in the page's ``content`` or ``nav-sidebar``."""
    page = client.get(address).content.decode()
    start = page.index(f'id="{part}')
    table = page[page.index('<div class="app-django_jobs ', start) :]
    table = table[: table.index("</table>")]
    return re.findall(r'<th scope="row"[^>]*>\s*<a [^>]*>([^<]*)</a>', table)


def _pages(client: Client, address: str) -> list[str]:
    """Return the names of the links under the dashboard."""
    page = client.get(address).content.decode()
    nav = page[page.index('id="jobs-pages"') :]
    return re.findall(r'<a href="[^"]*">([^<]*)</a>', nav[: nav.index("</nav>")])


def test_the_menu_is_in_the_order_of_use_with_the_rest_behind_more(admin_client: Client) -> None:
    index, app = reverse("admin:index"), reverse("admin:app_list", args=["django_jobs"])
    assert _menu(admin_client, index, "content-main") == [*FRONT, "More …"]
    assert _menu(admin_client, url("job_changelist"), "nav-sidebar") == [*FRONT, "More …"]
    assert _pages(admin_client, app) == WHOLE
    assert _menu(admin_client, url("limit_changelist"), "nav-sidebar") == [*FRONT, "Limits", "More …"]


def test_a_page_is_marked_in_the_menu_by_its_own_entry_only(admin_client: Client) -> None:
    app = reverse("admin:app_list", args=["django_jobs"])
    pages = {app: "Dashboard", url("queue_changelist"): "Queues", url("limit_changelist"): "Limits"}
    for address, entry in pages.items():
        page = admin_client.get(address).content.decode()
        sidebar = page[page.index('id="nav-sidebar"') : page.index('id="content"')]
        assert re.findall(r'aria-current="page">([^<]*)<', sidebar) == [entry]


def test_dead_letters_lead_to_their_groups_and_are_marked_on_all_their_pages(admin_client: Client) -> None:
    groups, letters = url("deadlettergroups"), url("deadletter_changelist")
    for address in (reverse("admin:index"), url("job_changelist")):
        page = admin_client.get(address).content.decode()
        assert re.search(rf'<a href="{groups}"[^>]*>Dead letters</a>', page), address
    letter = factories.make_letter()
    for address in (groups, letters, url("deadletter_change", letter.pk), url("deadlettergroup", letter.fingerprint)):
        page = admin_client.get(address).content.decode()
        sidebar = page[page.index('id="nav-sidebar"') : page.index('id="content"')]
        assert f'<a href="{groups}" aria-current="page">Dead letters</a>' in sidebar
        assert sidebar.count("aria-current") == 1


def test_above_a_dead_letter_are_the_groups_and_its_group(admin_client: Client) -> None:
    letter = factories.make_letter()
    page = admin_client.get(url("deadletter_change", letter.pk)).content.decode()
    trail = page[page.index('class="breadcrumbs') :].partition("</nav>")[0]
    assert re.findall(r'<a href="([^"]*)"', trail)[2:] == [
        url("deadlettergroups"),
        url("deadlettergroup", letter.fingerprint),
    ]


def test_the_menu_has_what_the_user_may_see(client: Client) -> None:
    log_in(client, "view_worker", "view_batch")
    assert _menu(client, reverse("admin:index"), "content-main") == ["Workers", "Batches"]


def test_another_site_has_the_same_order_and_its_own_get_app_list(admin_user: object) -> None:
    class Backoffice(admin.AdminSite):
        def get_app_list(self, request: object, app_label: str | None = None) -> list[object]:
            return [*super().get_app_list(request, app_label), {"app_label": "own", "models": []}]  # type: ignore[arg-type]

    site = Backoffice(name="admin")
    for _ in range(2):
        site.register(Job, JobAdmin)
        site.unregister(Job)
    site.register(Job, JobAdmin)
    request = RequestFactory().get("/admin/")
    request.user = admin_user  # type: ignore[assignment]
    apps = site.get_app_list(request)
    assert [app["app_label"] for app in apps] == ["django_jobs", "own"]
    assert [model["object_name"] for model in apps[0]["models"]] == ["Dashboard", "Job", "JobType"]


def test_no_page_offers_to_change_what_cannot_be_changed(admin_client: Client) -> None:
    rows = [row for row in make_rows() if not isinstance(row, CronSchedule)]
    rows.append(factories.make_schedule("of the code", is_from_code=True))
    for address in page_addresses(rows):
        page = admin_client.get(address).content.decode()
        if "<html" not in page:  # a part of a page, which a script adds
            continue
        title = re.search(r"<title>\s*([^<]*?)\s*</title>", page)
        assert title
        if address != url("cronschedule_changelist"):
            assert "hange" not in title[1], address
        assert 'name="_save"' not in page, address
    index = admin_client.get(reverse("admin:index")).content.decode()
    content = index[index.index('id="content-main"') :]
    changeable = re.findall(r'class="changelink" aria-describedby="(django_jobs-[^"]*)"', content)
    assert changeable == ["django_jobs-cronschedule"]
