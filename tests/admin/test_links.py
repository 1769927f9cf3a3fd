"""Each link of the admin leads to a page that its reader may open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qs, urldefrag, urljoin, urlsplit

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import resolve, reverse

from django_jobs.admin import JobAdmin
from django_jobs.admin.site.links import list_url, page_link, type_url
from django_jobs.models import Job
from tests import factories

from . import many_rows
from .every_page import APPS, make_rows, page_addresses
from .staff import INDEX, log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

SAMPLE = 2
"""So many links to the same page with the same parameters are followed for a user: of a list's rows, the first."""


class _Links(HTMLParser):
    """Collects the addresses of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and (address := dict(attrs).get("href")):
            self.found.append(address)


def links_of(page: str, address: str) -> list[str]:
    """Return the addresses in the admin that a page links to, absolute, each once."""
    parser = _Links()
    parser.feed(page)
    found = (urldefrag(urljoin(address, link)).url for link in parser.found)
    return [link for link in dict.fromkeys(found) if link.startswith(reverse("admin:index"))]


def models() -> list[str]:
    """Return the names of the models that have pages."""
    return sorted(str(model._meta.model_name) for model in admin.site._registry if model._meta.app_label in APPS)


def pages() -> list[str]:
    """Insert a few rows of each model, around jobs that have everything, and return the pages to begin at."""
    rows = make_rows()
    middle = many_rows.add_many(rows)
    attempts = [factories.make_attempt(middle[0], number=at, claim_number=at + 100) for at in range(1, 25)]
    found = page_addresses([*rows, *middle, attempts[0]])
    return [*found, reverse("admin:index"), url("find"), *_asking(middle)]


def _asking(jobs: list[Job]) -> Iterator[str]:
    """Yield pages that ask before they act and to which only users with further permissions have a link."""
    running = next(job for job in jobs if job.state == "running")
    yield f"{url('worker_kill', running.worker_id)}?job={running.pk}"


@pytest.mark.parametrize("is_alone", [True, False], ids=["one permission", "with all actions"])
def test_staff_who_may_view_one_model_find_no_link_that_is_refused(
    is_alone: bool, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_rows, "MANY", 2)
    ours = {one.codename: one for one in Permission.objects.filter(content_type__app_label__in=APPS)}
    of_models = {f"{verb}_{model}" for model in models() for verb in ("view", "change")}
    addresses = pages()
    for model in models():
        user = User.objects.create_user(model, is_staff=True)
        names = {f"view_{model}"} | (set() if is_alone else set(ours) - of_models)
        user.user_permissions.set(ours[name] for name in names)
        client.force_login(user)
        opened = crawl(client, addresses)
        assert any(f"/{model}/" in address for address in opened), f"no page of {model} was opened"


def crawl(client: Client, addresses: list[str]) -> list[str]:
    """Open those of the pages that the user may open, and follow their links. Return the pages opened."""
    statuses: dict[str, int] = {}
    followed: Counter[tuple[str, ...]] = Counter()
    answers = {address: client.get(address) for address in addresses}
    opened = {address: answer for address, answer in answers.items() if answer.status_code != 403}
    if answers[str(INDEX)].status_code == 404:  # Django has it for users of one of the app's models only
        del opened[str(INDEX)]
    for address, answer in opened.items():
        assert answer.status_code == 200, f"{address} answers {answer.status_code}"
        for link in links_of(answer.content.decode(), address):
            parts = urlsplit(link)
            kind = (resolve(parts.path).view_name, *sorted(parse_qs(parts.query, keep_blank_values=True)))
            followed[kind] += 1
            if link not in statuses and followed[kind] <= SAMPLE:
                statuses[link] = client.get(link).status_code
            assert statuses.get(link, 200) in {200, 302}, f"{address}: {link} answers {statuses[link]}"
    return list(opened)


def test_a_site_without_a_model_has_no_links_to_it(admin_user: User, rf: object) -> None:
    site = admin.AdminSite(name="admin")
    site.register(Job, JobAdmin)
    request = rf.get("/")  # type: ignore[attr-defined]
    request.user = admin_user
    assert page_link(request, site, "job", 7, "#7") == '<a href="/admin/django_jobs/job/7/change/">#7</a>'
    assert page_link(request, site, "worker", 7, "<7>") == "&lt;7&gt;"
    assert list_url(request, site, "tick", "schedule__id__exact=7") == ""
    of_others = admin.AdminSite(name="of_others")
    of_others.register(Job, admin.ModelAdmin)
    assert type_url(request, of_others, "shop.pay") == ""


def test_who_may_change_a_schedule_follows_the_link_of_its_tick(client: Client) -> None:
    schedule = factories.make_schedule("nightly")
    tick = factories.make_tick(schedule, job=factories.make_job())
    log_in(client, "view_tick", "change_cronschedule")
    page = client.get(url("tick_change", tick.pk)).content.decode()
    assert f'<a href="{url("cronschedule_change", schedule.pk)}">nightly</a>' in page
    assert f'href="{url("job_changelist")}' not in page
