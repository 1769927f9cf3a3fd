"""The dashboard's page and its refresh; ``tests/store/stats/test_dashboard.py`` tests the numbers."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import translation

from django_jobs.admin import QueueAdmin
from django_jobs.admin.site.app_index import dashboard_url
from django_jobs.models import Queue
from django_jobs.policy.limits import CircuitBreaker
from django_jobs.policy.states import State
from django_jobs.store.stats.rollup import roll_up
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

ALIAS, NOW = "admin:django_jobs_dashboard", "admin:django_jobs_dashboard_now"
PARTS, TIMES = ("succeeded", "retried", "dead"), ("wait50", "wait95", "run50", "run95")
HOSTILE = "<script>alert(1)</script>"


INDEX = "/admin/django_jobs/"


def _login(client: Client, *codenames: str) -> Client:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def _page(client: Client, query: str = "") -> str:
    response = client.get(INDEX + query)
    assert response.status_code == 200
    return response.content.decode()


def test_an_empty_dashboard_says_what_to_do(client: Client) -> None:
    page = _page(_login(client, "view_job"))
    assert "No workers are running: no jobs run, and no statistics are updated." in page
    assert "No schedules." in page
    assert "No open dead letters." in page


def test_the_page_shows_what_runs_waits_and_failed(client: Client) -> None:
    worker = factories.make_worker(hostname="web-1", concurrency=4)
    job = factories.make_job(State.RUNNING, worker=worker, progress_done=1, progress_total=4)
    factories.make_jobs(3, queue_name="mail")
    dead_letter = factories.make_letter(error_class="shop.NoCard", error_message="no card 4711")
    factories.make_schedule("nightly")
    roll_up(min_age=timedelta(0))
    page = _page(_login(client, "view_job", "view_job_arguments", "view_deadletter"))
    assert "1 of 4 threads" in page
    assert reverse("admin:django_jobs_job_change", args=[job.pk]) in page
    assert '<progress value="1" max="4"' in page
    assert "NoCard" in page
    assert "no card 4711" in page
    assert reverse("admin:django_jobs_deadlettergroup", args=[dead_letter.fingerprint]) in page
    assert "nightly" in page


def test_the_number_of_dead_letters_leads_to_their_groups_or_to_the_dead_jobs(client: Client) -> None:
    figure = f'<a class="jobs-figure-value" href="{reverse("admin:django_jobs_deadlettergroups")}">0</a>'
    jobs = f'href="{reverse("admin:django_jobs_job_changelist")}?state=dead">0</a>'
    page = _page(_login(client, "view_job", "view_deadletter"))
    assert (figure in page, jobs in page) == (True, False)
    User.objects.all().delete()
    page = _page(_login(client, "view_job"))
    assert (figure in page, jobs in page) == (False, True)


@pytest.mark.parametrize("also", ["view_worker", "view_cronschedule", "change_cronschedule", "view_deadletter"])
def test_every_link_is_one_that_the_user_may_follow(client: Client, also: str) -> None:
    factories.make_job(State.RUNNING, worker=factories.make_worker())
    factories.make_letter()
    factories.make_schedule("nightly")
    page = _page(_login(client, "view_job", also))
    links = {html.unescape(link) for link in re.findall(r'href="(/admin/django_jobs/[^"]*)"', page)}
    assert len(links) > 3
    assert {link for link in links if client.get(link).status_code != 200} == set()
    for text in ("nightly", "RuntimeError"):
        assert text in page


def test_without_the_permission_texts_of_errors_are_left_out(client: Client) -> None:
    factories.make_letter(error_message="no card 4711")
    page = _page(_login(client, "view_job"))
    assert "RuntimeError" in page
    assert "no card 4711" not in page


@pytest.mark.parametrize("name", [ALIAS, NOW])
def test_who_may_not_see_jobs_is_refused(client: Client, name: str) -> None:
    assert _login(client, "view_queue").get(reverse(name)).status_code == 403


def test_who_may_not_see_jobs_has_the_index_of_any_app(client: Client) -> None:
    page = _page(_login(client, "view_queue"))
    assert "Queues" in page
    assert "jobs-health" not in page
    User.objects.all().delete()
    assert _login(client).get(INDEX).status_code == 404


def test_the_former_address_leads_to_the_index(client: Client) -> None:
    response = _login(client, "view_job").get(f"{reverse(ALIAS)}?period=24h")
    assert (response.status_code, response["Location"]) == (302, f"{INDEX}?period=24h")


@pytest.mark.parametrize(("period", "points"), [("1h", 60), ("24h", 144), ("7d", 168), ("nonsense", 60)])
def test_the_chart_has_the_points_of_its_period(client: Client, period: str, points: int) -> None:
    answer = _login(client, "view_job").get(reverse(NOW), {"period": period}).json()
    assert {len(answer["chart"][part]) for part in ("at", *PARTS, *TIMES)} == {points}


def test_finished_attempts_are_in_the_figures_and_in_the_chart(client: Client) -> None:
    for _ in range(4):
        factories.make_attempt(factories.make_job(State.SUCCEEDED), outcome="succeeded")
    roll_up(min_age=timedelta(0))
    answer = _login(client, "view_job").get(reverse(NOW)).json()
    assert sum(answer["chart"]["succeeded"]) == 4
    assert '<span class="jobs-figure-value">4</span>' in answer["figures"]


def test_arrivals_and_backlog_are_in_the_chart_and_in_its_table(client: Client) -> None:
    factories.make_backlog({"mail": [5_000, 5_100, 5_300]}, ended=7, running=1)
    for _ in range(2):  # the first notes up to where there are rows
        roll_up(min_age=timedelta(0))
    page = _page(_login(client, "view_job"))
    chart = client.get(reverse(NOW)).json()["chart"]
    assert [number for number in chart["waiting"] if number is not None] == [5_000, 5_100, 5_300]
    assert [number for number in chart["arrived"] if number is not None] == [107, 207]
    assert "<td>207</td><td>5,100</td>" in page
    assert "<td>-</td><td>5,300</td>" in page


def test_how_long_it_waited_and_ran_is_in_the_chart_and_in_its_table(client: Client) -> None:
    ended_at = factories.ago(minutes=5)
    for seconds in (*[1] * 18, 200, 200):
        started_at = ended_at - timedelta(seconds=0.05)
        factories.make_attempt(
            factories.make_job(State.SUCCEEDED),
            outcome="succeeded",
            ready_at=started_at - timedelta(seconds=seconds),
            started_at=started_at,
            finished_at=ended_at,
        )
    roll_up(min_age=timedelta(0))
    answer = _login(client, "view_job").get(reverse(NOW)).json()
    (found,) = [values for values in zip(*(answer["chart"][part] for part in TIMES), strict=True) if any(values)]
    assert found == tuple(pytest.approx(seconds, rel=0.1) for seconds in (1, 200, 0.05, 0.05))
    assert "Charts as a table" in answer["now"]
    assert "<td>20</td><td>0</td><td>0</td><td>" in answer["now"]
    assert "<td>-</td><td>-</td><td>-</td><td>-</td>" in answer["now"], "spans in which nothing ended"


def test_names_that_somebody_meant_badly_are_escaped(client: Client) -> None:
    factories.make_queue(HOSTILE)
    factories.make_letter(job_name=HOSTILE, error_class=HOSTILE, error_message=HOSTILE)
    factories.make_job(State.RUNNING, name=HOSTILE, worker=factories.make_worker(hostname=HOSTILE))
    client = _login(client, "view_job", "view_job_arguments")
    assert HOSTILE not in _page(client)
    answer = client.get(reverse(NOW)).json()
    assert HOSTILE not in answer["now"]


def test_a_nul_character_in_the_address_of_the_index_is_answered_with_a_message(client: Client) -> None:
    response = _login(client, "view_job").get(f"{INDEX}?period=%00", follow=True)
    assert response.redirect_chain == [(INDEX, 302)]
    assert "has a NUL character" in response.content.decode()


@pytest.mark.parametrize("number", [10, 60])
def test_the_page_takes_at_most_twenty_statements(
    client: Client, number: int, django_assert_max_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_jobs.store.stats.dashboard.MAX_COUNTED", 5)  # more are counted by a statement more
    worker = factories.make_worker()
    for at in range(number):
        factories.make_queue(f"queue {at}")
        # They have run for so long that the page asks what is usual.
        factories.make_job(State.RUNNING, started_at=factories.ago(seconds=30), worker=worker)
        factories.make_letter(fingerprint=f"{at:032}")
        factories.make_schedule(f"schedule {at}")
    roll_up(min_age=timedelta(0))
    factories.make_letter()
    factories.make_deploy("v1", first_seen_at=factories.ago(minutes=5))
    client = _login(client, "view_job", "view_job_arguments")
    with django_assert_max_num_queries(20):
        _page(client)


def _sentences(client: Client) -> list[tuple[str, str, str]]:
    """Return severity, address and text of each sentence of health."""
    page = html.unescape(_page(client))
    rows = re.findall(r'<li class="jobs-health-(\w+)">.*?</strong> (?:<a href="([^"]*)">)?<bdi>(.*?)</bdi>', page)
    return [(severity, address, text) for severity, address, text in rows]


def test_a_queue_with_jobs_and_no_worker_is_named_and_leads_to_its_page(client: Client) -> None:
    factories.make_worker(queues=["mail"])
    for name in ("mail", "reports"):
        factories.make_job(queue_name=name)
    (sentence,) = _sentences(_login(client, "view_job", "view_queue"))
    address = reverse("admin:django_jobs_queue_change", args=["reports"])
    assert sentence == ("problem", address, "1 queue has ready jobs and no worker: reports")
    assert client.get(address).status_code == 200


def test_without_the_permission_a_sentence_is_no_link(client: Client) -> None:
    assert [address for _, address, _ in _sentences(_login(client, "view_job"))] == [""]


def test_every_fault_that_is_there_is_a_sentence_with_a_link_to_its_cure(admin_client: Client) -> None:
    now = factories.ago()
    assert [severity for severity, _, _ in _sentences(admin_client)] == ["problem"]
    factories.make_worker(queues=["mail"])
    assert _sentences(admin_client)[0][::2] == ("fine", "All is well: 1 worker is alive, no job waits.")
    factories.make_worker(queues=["mail"], heartbeat_at=factories.ago(minutes=5))
    paused = factories.make_queue("reports", paused_at=now)
    factories.make_job(queue_name="reports")
    factories.make_job(queue_name="mail", ready_at=factories.ago(minutes=10))
    factories.make_job(State.SCHEDULED, name="shop.new", run_after=now, unknown_since=now)
    late = factories.make_schedule("nightly", next_due_at=factories.ago(minutes=9))
    broken = factories.make_schedule("broken", problem="no such job", next_due_at=None, next_check_at=None)
    rule = CircuitBreaker(failures=3, within=timedelta(hours=1), open_for=timedelta(hours=1))
    limit = factories.make_limit(rule, check_at=now, closed_until=factories.ago(hours=-1))
    for minutes in (5, 500):
        factories.make_letter(died_at=factories.ago(minutes=minutes))
    jobs = reverse("admin:django_jobs_job_changelist")
    groups = reverse("admin:django_jobs_deadlettergroups")
    found = _sentences(admin_client)
    assert [(severity, address) for severity, address, _ in found] == [
        ("problem", reverse("admin:django_jobs_queue_change", args=["mail"])),
        ("problem", reverse("admin:django_jobs_cronschedule_change", args=[late.pk])),
        ("warning", reverse("admin:django_jobs_worker_changelist")),
        ("warning", groups),
        ("warning", reverse("admin:django_jobs_queue_change", args=[paused.pk])),
        ("warning", f"{jobs}?state=scheduled&name=shop.new"),
        ("warning", reverse("admin:django_jobs_cronschedule_change", args=[broken.pk])),
        ("warning", reverse("admin:django_jobs_limit_change", args=[limit.pk])),
        ("note", groups),
    ]
    assert [text for _, _, text in found][4] == "1 paused queue has jobs: reports"
    assert {address for _, address, _ in found if admin_client.get(address).status_code != 200} == set()


def test_the_sentences_are_in_the_readers_language(admin_client: Client) -> None:
    with translation.override("de"):
        page = admin_client.get(INDEX, headers={"Accept-Language": "de"}).content.decode()
    assert "Kein Worker läuft" in page
    assert "Problem</strong>" in page


class Backoffice(admin.AdminSite):
    """A site of a project with an index of its own."""

    def app_index(self, request: Any, app_label: str, extra_context: Any = None) -> Any:
        return super().app_index(request, app_label, {**(extra_context or {}), "site_url": "/own/"})


class Closed(admin.AdminSite):
    """A site whose index is no page of Django's."""

    def app_index(self, request: Any, app_label: str, extra_context: Any = None) -> Any:
        return HttpResponse("closed")


def _visit(site: admin.AdminSite, user: User) -> Any:
    request = RequestFactory().get("/admin/django_jobs/")
    request.user = user
    response = site.app_index(request, "django_jobs")
    return response.render() if hasattr(response, "render") else response


@pytest.mark.parametrize(
    ("site_class", "shown", "address"),
    [
        (admin.AdminSite, ["jobs-health"], INDEX),
        (Backoffice, ["jobs-health", 'href="/own/"'], "/admin/django_jobs/queue/dashboard/"),
        (Closed, ["closed"], "/admin/django_jobs/queue/dashboard/"),
    ],
)
def test_a_sites_own_index_still_answers(
    admin_user: User, site_class: type[admin.AdminSite], shown: list[str], address: str
) -> None:
    site = site_class(name="admin")
    for _ in range(2):  # registered anew, as a project with an admin of its own does
        site.register(Queue, QueueAdmin)
        content = _visit(site, admin_user).content.decode()
        assert [text for text in shown if text not in content] == []
        assert dashboard_url(site) == address
        site.unregister(Queue)
    site.register(Queue, type("Own", (admin.ModelAdmin,), {}))
    assert "jobs-health" not in _visit(site, admin_user).content.decode()


def test_a_template_of_the_projects_own_is_kept(admin_user: User) -> None:
    site = admin.AdminSite(name="admin")
    site.app_index_template = "admin/app_index.html"
    site.register(Queue, QueueAdmin)
    assert "jobs-health" not in _visit(site, admin_user).content.decode()
    assert dashboard_url(site) == reverse(ALIAS)
