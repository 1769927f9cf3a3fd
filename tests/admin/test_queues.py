"""Pages of queues: figures, pausing and resuming."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_jobs.models import Queue
from django_jobs.policy.states import State
from django_jobs.store.stats import dashboard
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:django_jobs_queue_changelist"


def _login(client: Client, *codenames: str) -> Client:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def _post(client: Client, name: str, verb: str) -> Any:
    return client.post(reverse("admin:django_jobs_queue_act", args=[name, verb]), follow=True)


@pytest.mark.parametrize("where", ["list", "page", "dashboard"])
def test_it_says_whether_each_queue_keeps_up(client: Client, where: str) -> None:
    factories.make_worker()
    factories.make_jobs(40, queue_name="mail")
    factories.make_queue("idle")
    client = _login(client, "view_queue", "view_job")
    address = {
        "list": reverse(LIST),
        "page": reverse("admin:django_jobs_queue_change", args=["mail"]),
        "dashboard": reverse("admin:app_list", args=["django_jobs"]),
    }[where]
    assert "not known yet" in client.get(address).content.decode()
    factories.make_backlog({"mail": [2_240 - 200 * at for at in range(12)]})
    page = client.get(address).content.decode()
    assert re.search(r'empty at <time datetime="[^"]+" title="[^"]+">([^<]+ )?\d\d:\d\d</time>', page), page
    factories.make_backlog({"mail": [4 + 3 * at for at in range(12)]})
    assert "growing by 3 a minute" in client.get(address).content.decode()
    if where != "page":
        assert ">empty</" in client.get(address).content.decode()


def test_the_number_beyond_the_count_is_that_of_the_last_sample(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "MAX_COUNTED", 10)
    factories.make_worker()
    factories.make_jobs(12, queue_name="mail")
    factories.make_backlog({"mail": [20_000 + 50 * at for at in range(12)]})
    page = _login(client, "view_queue", "view_job").get(reverse(LIST)).content.decode()
    assert '<td class="field-waiting">10+</td>' in page
    assert '<td class="field-forecast">20,550 waiting, growing by 50 a minute</td>' in page


def test_the_list_tells_how_long_each_line_is(client: Client) -> None:
    factories.make_queue("mail")
    factories.make_jobs(3, queue_name="mail", ready_at=factories.ago(minutes=5))
    factories.make_job(State.RUNNING, queue_name="mail")
    page = _login(client, "view_queue", "view_job").get(reverse(LIST)).content.decode()
    assert '<td class="field-waiting">3</td>' in page
    assert re.search(r'<td class="field-oldest">5 min \d+ s</td>', page)
    assert '<td class="field-running">1</td>' in page
    assert "?queue=mail" in page


@pytest.mark.parametrize("state", [State.READY, State.SCHEDULED, State.BLOCKED])
def test_a_queue_that_no_worker_has_seen_is_listed_opened_and_paused(client: Client, state: State) -> None:
    factories.make_job(state, queue_name="reports")
    client = _login(client, "view_queue", "view_job", "pause_queue")
    jobs = client.get(reverse("admin:django_jobs_job_changelist")).content.decode()
    assert '<a href="?queue=reports">reports</a>' in jobs
    address = reverse("admin:django_jobs_queue_change", args=["reports"])
    assert ">Pause</button>" in client.get(address).content.decode(), "also by a link from elsewhere"
    Queue.objects.all().delete()
    assert f'href="{address}"' in client.get(reverse(LIST)).content.decode()
    assert "Paused: reports" in _post(client, "reports", "pause").content.decode()


def test_who_may_not_see_queues_makes_none(client: Client) -> None:
    factories.make_job(queue_name="reports")
    client = _login(client, "view_job")
    for address in (reverse(LIST), reverse("admin:django_jobs_queue_change", args=["reports"])):
        assert client.get(address).status_code in {302, 403}
    assert not Queue.objects.exists()


def test_selected_queues_are_paused_and_resumed_and_that_is_logged(client: Client) -> None:
    factories.make_queue("mail")
    client = _login(client, "view_queue", "pause_queue")
    client.post(reverse(LIST), {"action": "pause_selected", "_selected_action": ["mail"]})
    queue = Queue.objects.get()
    assert (queue.is_paused, queue.paused_by) == (True, "ada")
    client.post(reverse(LIST), {"action": "resume_selected", "_selected_action": ["mail"]})
    assert not Queue.objects.get().is_paused
    assert [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")] == [
        "Paused.",
        "Resumed.",
    ]


def test_the_button_of_a_queues_page_pauses_it_once(client: Client) -> None:
    factories.make_queue("a/b c")
    client = _login(client, "view_queue", "pause_queue")
    page = client.get(reverse("admin:django_jobs_queue_change", args=["a/b c"])).content.decode()
    assert ">Pause</button>" in page
    assert "Paused: a/b c" in _post(client, "a/b c", "pause").content.decode()
    assert "was already paused" in _post(client, "a/b c", "pause").content.decode()
    assert "Resumed: a/b c" in _post(client, "a/b c", "resume").content.decode()


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_viewer_sees_no_button_and_is_refused(client: Client, verb: str) -> None:
    factories.make_queue("mail")
    client = _login(client, "view_queue")
    assert (
        "<button"
        not in client.get(reverse("admin:django_jobs_queue_change", args=["mail"]))
        .content.decode()
        .split("object-tools")[1]
        .split("</ul>")[0]
    )
    assert "pause_selected" not in client.get(reverse(LIST)).content.decode()
    assert _post(client, "mail", verb).status_code == 403
    assert not Queue.objects.get().is_paused


def test_what_is_no_queue_or_no_verb_is_not_found(client: Client) -> None:
    factories.make_queue("mail")
    client = _login(client, "view_queue", "pause_queue")
    assert _post(client, "nobody's", "pause").status_code == 404
    assert _post(client, "mail", "burn").status_code == 404


@pytest.mark.parametrize("number", [10, 60])
def test_the_list_takes_the_same_few_queries_however_many_queues(
    client: Client, number: int, django_assert_max_num_queries: Any
) -> None:
    for at in range(number):
        factories.make_job(queue_name=f"queue {at}")
    client = _login(client, "view_queue")
    with django_assert_max_num_queries(20):  # the first time, when they get their rows
        client.get(reverse(LIST))
    with django_assert_max_num_queries(17):
        client.get(reverse(LIST))


def test_a_queues_page_sets_how_many_run_at_once_and_that_is_logged(client: Client) -> None:
    factories.make_queue("mail")
    client = _login(client, "view_queue", "pause_queue")
    address = reverse("admin:django_jobs_queue_act", args=["mail", "max-running"])
    said = client.post(address, {"max_running": "3"}, follow=True).content.decode()
    assert "“mail”: At most 3 running." in said
    assert Queue.objects.get().max_running == 3
    assert LogEntry.objects.get().change_message == "At most 3 running."
    assert 'value="3"' in client.get(reverse("admin:django_jobs_queue_change", args=["mail"])).content.decode()
    assert "No limit." in client.post(address, {"max_running": ""}, follow=True).content.decode()
    assert Queue.objects.get().max_running is None


@pytest.mark.parametrize("most", ["0", "-3", "many", "1.5"])
def test_a_wrong_number_is_answered_by_a_message(client: Client, most: str) -> None:
    factories.make_queue("mail")
    client = _login(client, "view_queue", "pause_queue")
    address = reverse("admin:django_jobs_queue_act", args=["mail", "max-running"])
    assert (
        "Expected a whole number from 1 to" in client.post(address, {"max_running": most}, follow=True).content.decode()
    )
    assert Queue.objects.get().max_running is None


def test_without_the_permission_a_queue_cannot_be_capped(client: Client) -> None:
    factories.make_queue("mail")
    client = _login(client, "view_queue")
    address = reverse("admin:django_jobs_queue_act", args=["mail", "max-running"])
    assert client.post(address, {"max_running": "3"}).status_code == 403
    assert Queue.objects.get().max_running is None
