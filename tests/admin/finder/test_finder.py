"""The search of everything: what each kind finds, for whom, in few statements; its page and its answer."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from django_jobs import registry
from django_jobs.admin import JobAdmin
from django_jobs.admin.finder.sections import find_everything
from django_jobs.contrib.tasks.ids import result_id
from django_jobs.contrib.tasks.source import SOURCE
from django_jobs.models import Job, Limit
from django_jobs.policy.limits import Concurrency
from django_jobs.policy.states import State
from django_jobs.store.stats.rollup import roll_up
from tests import factories
from tests.admin.every_page import make_rows
from tests.admin.many_rows import add_many
from tests.admin.staff import INDEX, log_in, url
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = (
    "view_job", "view_job_arguments", "view_queue", "view_worker", "view_cronschedule", "view_batch", "view_limit",
    "view_deadletter",
)  # fmt: skip


def find(client: Client, query: str) -> dict[str, list[tuple[str, str, str]]]:
    """Return text, note and address of what is found, by kind."""
    response = client.get(url("find_results"), {"q": query})
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    groups = response.json()["groups"]
    return {group["title"]: [(one["text"], one["note"], one["url"]) for one in group["items"]] for group in groups}


def test_a_job_is_found_by_its_id_and_by_that_of_its_task(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_sources", [SOURCE])  # as with a backend of this engine in TASKS
    job = factories.make_job(State.DEAD, name="shop.send")
    expected = [(f"#{job.pk} shop.send", "dead", url("job_change", job.pk))]
    for query in (str(job.pk), f"#{job.pk}", f" {job.pk} ", result_id(job.pk)):
        assert find(admin_client, query)["Jobs"] == expected
    assert "Jobs" not in find(admin_client, str(job.pk + 1))
    assert "Jobs" not in find(admin_client, "9" * 19)


def test_every_kind_is_found_by_its_name(admin_client: Client) -> None:
    queue = factories.make_queue("needle/1_2F")
    factories.make_job(queue_name="needle.unseen")
    schedule = factories.make_schedule("nightly needle", job_name="shop.count")
    worker = factories.make_worker(hostname="needle-1", pid=4711)
    batch = factories.make_batch(description="the needle import")
    limit = factories.make_limit(Concurrency(1))
    Limit.objects.filter(pk=limit.pk).update(name="needle.limit")
    found = find(admin_client, "Needle")
    assert [name for name, _, _ in found["Queues"]] == ["needle.unseen", queue.name]
    assert found["Schedules"] == [("nightly needle", "shop.count", url("cronschedule_change", schedule.pk))]
    assert found["Workers"] == [("needle-1:4711", "running", url("worker_change", worker.pk))]
    assert found["Batches"] == [(f"the needle import #{batch.pk}", "running", url("batch_change", batch.pk))]
    with translation.override("de"):
        assert find(admin_client, "the needle")["Batches"][0][1] == "läuft"
    assert found["Limits"] == [("needle.limit", "", f"{url('limit_changelist')}?name=needle.limit")]
    assert {admin_client.get(items[0][2]).status_code for items in found.values()} == {200}


def test_errors_are_found_by_class_job_and_message(admin_client: Client) -> None:
    letter = factories.make_letter(error_class="shop.NoCard", error_message="no card 4711", job_name="shop.pay")
    _roll_up()
    expected = [("NoCard", "shop.pay: no card 4711", url("deadlettergroup", letter.fingerprint))]
    for query in ("nocard", "shop.pay", "card 4711"):
        assert find(admin_client, query)["Dead letters by error"] == expected


def _roll_up() -> None:
    for _ in range(2):
        roll_up(min_age=timedelta(0))


def test_job_types_and_pages_are_found_by_name(admin_client: Client) -> None:
    found = find(admin_client, sample.add.name)
    name, _, address = found["Job types"][0]
    assert name == sample.add.name
    assert admin_client.get(address).status_code == 200
    assert find(admin_client, "work")["Go to"] == [("Workers", "", url("worker_changelist"))]
    pages = [text for text, _, _ in find(admin_client, "")["Go to"]]
    assert pages[0] == "Dashboard"
    assert find(admin_client, "dead letters")["Go to"] == [("Dead letters", "", url("deadlettergroups"))]
    assert "Once records" in pages


def test_jobs_are_found_by_an_argument_with_secrets_masked(admin_client: Client) -> None:
    jobs = [factories.make_job(arguments={"user_id": 7, "password": "hush"}) for _ in range(7)]
    factories.make_job(arguments={"user_id": 8})
    found = find(admin_client, "user_id=7")
    (rows,) = found.values()
    assert [row[2] for row in rows[:-1]] == [url("job_change", job.pk) for job in reversed(jobs[2:])]
    assert rows[-1][2] == f"{url('job_changelist')}?argument=user_id%3D7"
    assert admin_client.get(rows[-1][2]).status_code == 200
    assert "user_id=7" in rows[0][1]
    assert "hush" not in rows[0][1]


@pytest.mark.parametrize("permission", EVERYTHING)
def test_each_kind_needs_its_permission_and_every_link_may_be_followed(client: Client, permission: str) -> None:
    rows = make_rows()
    job = next(row for row in rows if isinstance(row, Job))
    _roll_up()
    log_in(client, permission)
    seen = set()
    for query in ("", "s", "e", "a", str(job.pk), "x=1", "default", "runtime", "#"):
        for title, items in find(client, query).items():
            seen.add(title)
            for text, note, address in items:
                assert client.get(address).status_code == 200, (text, address)
                assert permission == "view_job_arguments" or "no card" not in note
    kinds = {
        "view_job": {"Jobs", "Job types", "Further", "Go to"},
        "view_job_arguments": set(),
        "view_queue": {"Queues", "Go to"},
        "view_worker": {"Workers", "Go to"},
        "view_cronschedule": {"Schedules", "Go to"},
        "view_batch": {"Batches", "Go to"},
        "view_limit": {"Limits", "Go to"},
        "view_deadletter": {"Dead letters by error", "Go to"},
    }
    assert seen == kinds[permission]


def test_messages_of_errors_and_arguments_need_the_permission_for_arguments(client: Client) -> None:
    factories.make_letter(error_class="shop.NoCard", error_message="no card 4711", job_name="shop.pay")
    factories.make_job(arguments={"user_id": 7})
    _roll_up()
    log_in(client, "view_job", "view_deadletter")
    assert find(client, "nocard")["Dead letters by error"][0][1] == "shop.pay"
    assert "Dead letters by error" not in find(client, "4711")
    assert find(client, "user_id=7") == {}


def test_who_may_not_enter_the_admin_finds_nothing(client: Client) -> None:
    for name in ("find", "find_results"):
        assert client.get(url(name)).status_code == 302


@pytest.mark.parametrize("query", ["", "shop", "user_id=7", "1"])
def test_a_search_takes_few_statements_with_many_rows_of_everything(client: Client, query: str) -> None:
    add_many(make_rows())
    _roll_up()
    log_in(client, *EVERYTHING)
    with CaptureQueriesContext(connection) as captured:
        assert find(client, query)
    assert len(captured) <= 20


def test_without_a_script_it_is_a_page(admin_client: Client) -> None:
    queue = factories.make_queue("<b>mail</b>")
    page = admin_client.get(url("find"), {"q": "mail"}).content.decode()
    assert 'name="q" value="mail"' in page
    assert queue.name not in page
    assert f"<bdi>{html.escape(queue.name)}</bdi></a>" in page
    assert reverse("admin:django_jobs_find") in admin_client.get(INDEX).content.decode()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("x" * 201, "Expected at most 200 characters, got 201."),
        ('"\\ud800', None),
        ("\ud800", None),
        ('user_id={"\\ud800":1}', "argument: expected a value that an argument can have, got "),
        ("%_'\"\\;--", None),
        ("9" * 200, None),
    ],
)
@pytest.mark.parametrize("name", ["find", "find_results"])
def test_odd_text_is_answered_with_a_message(admin_client: Client, name: str, query: str, message: str | None) -> None:
    response = admin_client.get(f"{url(name)}?q={quote(query.encode('utf-8', 'surrogatepass'))}")
    assert response.status_code == 200
    if message is not None:
        assert message in html.unescape(response.content.decode())


def test_a_site_without_some_pages_finds_the_others(admin_user: Any, rf: Any) -> None:
    site = admin.AdminSite(name="admin")
    site.register(Job, JobAdmin)
    factories.make_queue("parcels")
    request = rf.get("/")
    request.user = admin_user
    assert [str(one.title) for one in find_everything(request, site, "parcels")] == ["Further"]


def test_the_script_is_on_lists_and_pages(admin_client: Client) -> None:
    job = factories.make_job()
    worker = factories.make_worker()
    for address in (INDEX, url("job_changelist"), url("job_change", job.pk), url("worker_change", worker.pk)):
        page = admin_client.get(address).content.decode()
        (script,) = re.findall(r"<script[^>]*find\.js[^>]*>", page)
        assert f'data-results="{url("find_results")}"' in script
