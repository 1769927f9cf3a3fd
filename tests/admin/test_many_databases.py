"""The admin over several databases: each page, form and link acts on the one that its address names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from socket import create_server
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import Model, QuerySet
from django.test import Client, RequestFactory, override_settings
from django.urls import reverse

from django_jobs import registry
from django_jobs.admin.jobs.filters import read_filter
from django_jobs.conf.database import use_database
from django_jobs.contrib.tasks.ids import result_id
from django_jobs.contrib.tasks.source import SOURCE
from django_jobs.models import Job, Queue
from django_jobs.policy.states import State
from tests import factories
from tests.admin.every_page import make_rows, page_addresses
from tests.admin.staff import INDEX, log_in, url
from tests.admin.test_links import links_of
from tests.admin.test_related_jobs import CustomerAdmin, read_urls
from tests.databases import chosen_vendor
from tests.more_databases import created, known, migrated_file, silent
from tests.sampleapp.models import Customer

pytestmark = pytest.mark.usefixtures("_databases")

M = TypeVar("M", bound=Model)

PURGE = ("view_job", "purge_job", "view_job_arguments")
HOME = reverse("admin:app_list", args=["django_jobs"])


@pytest.fixture(scope="module")
def entries(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[dict[str, Any]]:
    """Two more databases: of the vendor of the test if that is a server, else a file, and another file."""
    folder = tmp_path_factory.mktemp("databases")
    with django_db_blocker.unblock():
        us = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(migrated_file(folder / "us.sqlite3"))}
        if chosen_vendor() == "sqlite":
            eu = shutil.copy(folder / "us.sqlite3", folder / "eu.sqlite3")
            yield {"eu": {**us, "NAME": str(eu)}, "us": us}
            return
        with created(chosen_vendor(), "eu") as entry:
            yield {"eu": entry, "us": us}


@pytest.fixture
def _databases(entries: dict[str, Any], transactional_db: None) -> Iterator[None]:
    with known(entries, CHOOSE_DATABASE=f"{__name__}.always_us"):
        yield
        for alias in entries:
            call_command("flush", database=alias, interactive=False, verbosity=0, inhibit_post_migrate=True)


def always_us(_name: str, _arguments: Any) -> str:
    """Send every job to the same database, whatever page it is enqueued from."""
    return "us"


def make_in_each(state: State = State.SUCCEEDED) -> None:
    """Insert a job with the same number in each database, named after it."""
    for alias in ("us", "eu", "default"):
        put(factories.make_job(state, id=4711, name=f"shop.{alias}"), alias)


def put(row: M, alias: str) -> M:
    """Move a row that was made in the first database to another."""
    if alias != "default":
        Model.save(row, using=alias, force_insert=True)
        _forget(row)
    return row


def put_letter(alias: str) -> None:
    """Insert a dead letter, and its job, named after the database."""
    letter = factories.make_letter(job_name=f"shop.{alias}")
    job = letter.job
    assert job is not None
    if alias != "default":
        Model.save(job, using=alias, force_insert=True)
        put(letter, alias)
        _forget(job)


def _forget(row: Model) -> None:
    QuerySet(type(row), using="default").filter(pk=row.pk)._raw_delete("default")


def present() -> set[str]:
    """Return the databases that have jobs."""
    return {alias for alias in ("default", "eu", "us") if Job.objects.using(alias).exists()}


def named(address: str, alias: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}database={alias}"


def test_a_page_shows_the_database_that_its_address_names(admin_client: Client) -> None:
    make_in_each()
    for alias in ("default", "eu", "us"):
        page = admin_client.get(named(url("job_change", 4711), alias)).content.decode()
        assert f"<h1>Job {alias}:4711</h1>" in page
        assert f"shop.{alias}" in page
        listed = admin_client.get(named(url("job_changelist"), alias)).content.decode()
        assert set(re.findall(r"shop\.(?:default|eu|us)\b", listed)) == {f"shop.{alias}"}
    assert "<h1>Job default:4711</h1>" in admin_client.get(url("job_change", 4711)).content.decode()
    refused = admin_client.get(named(url("job_changelist"), "asia"), follow=True)
    assert "Expected a database of jobs, got asia." in refused.content.decode()


def test_every_link_and_form_of_every_page_names_the_database_of_the_page(admin_client: Client) -> None:
    jobs = {"DATABASES": ["us", "default", "eu"], "SCHEDULES_DATABASE": "default"}  # the rows are not in the first
    with override_settings(DJANGO_JOBS=jobs), use_database("default"):
        addresses = page_addresses(make_rows())
    seen = 0
    with override_settings(DJANGO_JOBS=jobs):
        for address in addresses:
            if address.startswith(HOME) and not address.startswith(url("messagesource_changelist")):  # in the first
                seen += check_names(admin_client, address, "default")
    assert seen > 500


def check_names(client: Client, address: str, alias: str) -> int:
    """Check what a page says of its database, and return the number of its links."""
    response = client.get(named(address, alias))
    page = response.content.decode()
    assert response.status_code == 200, address
    assert re.search(rf'aria-current="page">{alias}</a>', page), address
    elsewhere = r'<nav class="jobs-tabs jobs-databases.*?</nav>|<div class="jobs-wide jobs-sums.*?</div>'
    page = re.sub(elsewhere, "", page, flags=re.DOTALL)
    links = [link for link in links_of(page, named(address, alias)) if urlsplit(link).path.startswith(HOME)]
    others = [link for link in links if parse_qs(urlsplit(link).query).get("database") != [alias]]
    assert not others, address
    forms = re.findall(r'<form\b([^>]*)>(?:<input type="hidden" name="database" value="(\w+)">)?', page)
    named_in = {name for attributes, name in forms if not re.search('action="/(admin/logout|i18n)', attributes)}
    assert named_in <= {alias}, address
    return len(links)


def test_two_tabs_on_two_databases_purge_each_its_own(client: Client) -> None:
    make_in_each()
    log_in(client, *PURGE)
    address = url("job_purge", 4711)
    eu_form = _form(client, named(address, "eu"))
    us_form = _form(client, named(address, "us"))  # the same session sees another database in between
    client.get(HOME)

    client.post(eu_form[0], eu_form[1])
    assert present() == {"default", "us"}

    client.post(us_form[0], us_form[1])
    assert present() == {"default"}


def _form(client: Client, address: str) -> tuple[str, dict[str, str]]:
    """Return where the page's form posts to, and its hidden fields, as a browser would."""
    page = client.get(address).content.decode()
    found = re.search(r'<form method="post">(.*?)</form>', page, re.DOTALL)
    assert found is not None
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', found[1])
    return address, dict(hidden)


def test_a_form_that_names_no_database_or_two_changes_nothing(client: Client) -> None:
    make_in_each()
    log_in(client, *PURGE)
    address = url("job_purge", 4711)
    nameless = client.post(address, {"confirmed": "1"}, follow=True)
    assert "The form names no database. Nothing was changed" in nameless.content.decode()
    two = client.post(named(address, "eu"), {"confirmed": "1", "database": "us"}, follow=True)
    assert "Expected one database, got eu, us. Nothing was changed." in two.content.decode()
    client.post(address, {"confirmed": "1", "database": "asia"})
    assert present() == {"default", "eu", "us"}


def test_a_list_s_action_and_a_bulk_action_stay_in_their_database(admin_client: Client) -> None:
    make_in_each(State.SCHEDULED)
    started = admin_client.post(
        url("job_bulk_start", "cancel") + "?name=shop.eu&database=eu", {"name": "shop.eu", "database": "eu"}
    )
    assert "database=eu" in started["Location"]  # CHOOSE_DATABASE would have sent its job to "us"
    assert admin_client.get(started["Location"]).status_code == 200
    assert Job.objects.using("eu").filter(name__contains="cancel").count() == 1
    assert not Job.objects.using("us").filter(name__contains="cancel").exists()

    ticked = {"action": "cancel_selected", "_selected_action": ["4711"], "database": "eu"}
    response = admin_client.post(named(url("job_changelist"), "eu"), ticked)
    assert parse_qs(urlsplit(response["Location"]).query)["database"] == ["eu"]
    states = {alias: Job.objects.using(alias).get(pk=4711).state for alias in ("default", "eu", "us")}
    assert states == {"default": "scheduled", "eu": "cancelled", "us": "scheduled"}


def test_an_export_is_read_from_its_database_after_the_view_has_returned(admin_client: Client) -> None:
    for alias in ("default", "eu"):
        put_letter(alias)
    response = admin_client.get(named(url("deadletter_export", "csv"), "eu"))
    lines = b"".join(response.streaming_content).decode()  # type: ignore[arg-type]
    assert "shop.eu" in lines
    assert "shop.default" not in lines


def test_the_log_and_the_history_know_the_database(client: Client) -> None:
    make_in_each(State.SCHEDULED)
    log_in(client, "view_job", "cancel_job")
    for alias in ("default", "eu"):
        client.post(url("job_act", 4711, "cancel"), {"database": alias})
    first, second = LogEntry.objects.order_by("pk")
    assert (first.object_id, second.object_id) == ("4711", "eu:4711")
    assert second.object_repr.startswith("eu: shop.eu")
    link = second.get_admin_url()
    assert link is not None
    page = client.get(link, follow=True)
    assert page.redirect_chain == [(named(url("job_change", 4711), "eu"), 302)]
    assert "<h1>Job eu:4711</h1>" in page.content.decode()
    for alias, number in (("default", 1), ("eu", 1), ("us", 0)):
        history = client.get(named(url("job_history", 4711), alias))
        assert history.status_code == 200
        assert len(history.context["action_list"]) == number


def test_queues_are_told_apart_though_their_keys_are_names(client: Client) -> None:
    for alias in ("eu", "default"):
        put(factories.make_queue("mails"), alias)
    log_in(client, "view_queue", "pause_queue")
    client.post(url("queue_act", "mails", "pause"), {"database": "eu"})
    assert Queue.objects.using("eu").get().paused_at is not None
    assert Queue.objects.using("default").get().paused_at is None
    assert len(client.get(named(url("queue_history", "mails"), "eu")).context["action_list"]) == 1
    assert not client.get(named(url("queue_history", "mails"), "default")).context["action_list"]


def test_permissions_are_asked_for_in_each_database(client: Client) -> None:
    make_in_each()
    log_in(client, "view_job")
    assert client.post(url("job_purge", 4711), {"confirmed": "1", "database": "eu"}).status_code == 403
    assert present() == {"default", "eu", "us"}


def test_a_message_names_its_database_and_its_link_leads_there(admin_client: Client) -> None:
    make_in_each()
    ticked = {"action": "copy_selected", "_selected_action": ["4711"], "database": "eu"}
    admin_client.post(named(url("job_changelist"), "eu"), ticked)
    other_tab = admin_client.get(named(url("job_changelist"), "us")).content.decode()
    message = re.search(r"<li\b[^>]*>\s*<bdi>eu</bdi>: (.*?)</li>", other_tab, re.DOTALL)
    assert message is not None
    assert "database=eu" in message[1]
    assert "database=us" not in message[1]


def test_schedules_are_shown_in_the_one_database_that_has_them(admin_client: Client) -> None:
    schedule = factories.make_schedule("nightly")
    page = admin_client.get(named(url("cronschedule_changelist"), "eu"), follow=True)
    assert page.redirect_chain == [(named(url("cronschedule_changelist"), "default"), 302)]
    assert "nightly" in page.content.decode()
    refused = admin_client.post(url("cronschedule_act", schedule.pk, "pause"), {"database": "eu"}, follow=True)
    assert "These rows are in the database default. Nothing was changed." in refused.content.decode()
    schedule.refresh_from_db()
    assert schedule.paused_at is None


def find(client: Client, query: str, alias: str) -> dict[str, Any]:
    answer = client.get(url("find_results"), {"q": query, "database": alias}).json()
    return {group["title"]: group for group in answer["groups"]}


def test_the_search_finds_an_id_in_each_database(admin_client: Client) -> None:
    make_in_each(State.DEAD)
    page = url("job_change", 4711)
    for query in ("4711", "#4711"):
        jobs = find(admin_client, query, "us")["Jobs"]["items"]
        assert [item["text"] for item in jobs] == ["us:4711 shop.us", "default:4711 shop.default", "eu:4711 shop.eu"]
        assert [item["url"] for item in jobs] == [named(page, alias) for alias in ("us", "default", "eu")]
    (job,) = find(admin_client, "eu:4711", "us")["Jobs"]["items"]
    assert (job["text"], job["url"]) == ("eu:4711 shop.eu", named(page, "eu"))
    listed = admin_client.get(url("job_changelist"), {"q": "eu:4711", "database": "us"}, follow=True)
    assert "shop.eu" in listed.content.decode()
    assert "shop.us" not in listed.content.decode()
    assert "Jobs" not in find(admin_client, "asia:4711", "us")


def test_the_id_of_a_task_leads_to_the_database_of_its_job(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_sources", [SOURCE])
    make_in_each(State.DEAD)
    with override_settings(DJANGO_JOBS={}):
        of_the_time_before = result_id(4711)
    for given, alias in ((result_id(4711, database="eu"), "eu"), (of_the_time_before, "default")):
        (job,) = find(admin_client, given, "us")["Jobs"]["items"]
        assert (job["text"], job["url"]) == (f"{alias}:4711 shop.{alias}", named(url("job_change", 4711), alias))
        listed = admin_client.get(url("job_changelist"), {"q": given, "database": "us"}, follow=True)
        assert set(re.findall(r"shop\.(?:default|eu|us)\b", listed.content.decode())) == {f"shop.{alias}"}


def test_a_filter_by_the_id_of_a_task_changes_no_job_of_another_database(rf: RequestFactory, admin_user: User) -> None:
    request = rf.get("/", {"q": result_id(4711, database="eu")})
    request.user = admin_user
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_sources", [SOURCE])
        for alias in ("default", "eu", "us"):
            with use_database(alias):
                found[alias] = read_filter(request).job_id
    assert found == {"default": None, "eu": 4711, "us": None}


def sums(page: str) -> dict[str, list[str]]:
    """Return the cells of the table of databases, by database."""
    table = re.search(r'<div class="jobs-wide jobs-sums.*?</div>', page, re.DOTALL)
    assert table is not None
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table[0], re.DOTALL)
    return {_text(name): [_text(cell) for cell in re.findall(r"<td.*?>(.*?)</td>", cells)] for name, cells in rows}


def _text(html: str) -> str:
    return re.sub(r"<[^>]*>", "", html)


def test_the_dashboard_has_the_sums_of_each_database_and_of_all(admin_client: Client) -> None:
    for alias, ready, running, dead in (("default", 1, 0, 2), ("eu", 3, 1, 0), ("us", 0, 0, 1)):
        for state in [State.READY] * ready + [State.RUNNING] * running:
            put(factories.make_job(state), alias)
        for _ in range(dead):
            put_letter(alias)
    expected = {"default": ["1", "0", "2"], "eu": ["3", "1", "0"], "us": ["0", "0", "1"], "All": ["4", "1", "3"]}
    page = admin_client.get(named(str(INDEX), "eu")).content.decode()
    assert sums(page) == expected
    refreshed = admin_client.get(named(url("dashboard_now"), "eu")).json()["figures"]
    assert sums(refreshed) == expected


def test_a_frozen_database_is_named_and_holds_up_neither_the_dashboard_nor_the_search(
    entries: dict[str, Any], admin_client: Client
) -> None:
    with silent(chosen_vendor()) as frozen, known({"asia": frozen}, DATABASES=["default", *entries, "asia"]):
        job = factories.make_job(State.READY)
        for _ in range(3):  # the first waits, the others know of it
            shown = sums(admin_client.get(INDEX).content.decode())
            assert shown["asia"] == ["does not answer"]
            assert shown["All"] == ["1", "0", "0"]
        found = find(admin_client, str(job.pk), "default")["Jobs"]
        assert [item["text"] for item in found["items"]] == [f"default:{job.pk} {job.name}"]
        assert found["message"] == "Without an answer: asia"


def test_a_page_of_a_database_that_is_down_says_so_and_leads_to_the_others(
    entries: dict[str, Any], admin_client: Client
) -> None:
    with closing(create_server(("127.0.0.1", 0))) as server:
        port = str(server.getsockname()[1])  # nobody listens there any more
    engine = {"sqlite": "postgresql"}.get(chosen_vendor(), chosen_vendor())
    down = {"ENGINE": f"django.db.backends.{engine}", "NAME": "x", "HOST": "127.0.0.1", "PORT": port}
    with known({"asia": down}, DATABASES=["default", *entries, "asia"]):
        for page in (INDEX, url("job_changelist"), url("job_change", 1)):
            response = admin_client.get(named(str(page), "asia"))
            assert response.status_code == 503
            assert "The database asia does not answer." in response.content.decode()
            assert "database=eu" in response.content.decode()
        assert admin_client.get(named(str(INDEX), "eu")).status_code == 200


@pytest.fixture
def _customers() -> Iterator[None]:
    admin.site.register(Customer, CustomerAdmin)
    read_urls()
    yield
    admin.site.unregister([Customer])
    read_urls()


@pytest.mark.usefixtures("_customers")
def test_the_jobs_of_a_project_s_row_are_those_of_the_database_that_the_address_names(admin_client: Client) -> None:
    ada = Customer.objects.create(name="ada")
    for alias in ("us", "eu", "default"):
        put(factories.make_job(name=f"shop.{alias}", arguments={"customer_id": ada.pk}), alias)
    address = reverse("admin:sampleapp_customer_jobs", args=[ada.pk])
    page = admin_client.get(named(address, "eu")).content.decode()
    assert "shop.eu" in page
    assert "shop.default" not in page
    links = [
        link
        for link in links_of(page, named(address, "eu"))
        if "/job/" in link and link.endswith("/change/?database=eu")
    ]
    assert len(links) == 1
    assert f'href="{named(address, "us")}"' in page
    assert "shop.default" in admin_client.get(address).content.decode()
    refused = admin_client.get(named(address, "asia"), follow=True)
    assert "Expected a database of jobs, got asia." in refused.content.decode()
