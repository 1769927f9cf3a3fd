"""Pages of workers: live processes, running jobs, and stopping one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_jobs.conf import get_settings
from django_jobs.models import Worker
from django_jobs.policy.states import State
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:django_jobs_worker_changelist"


def _login(client: Client, *codenames: str) -> Client:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def _page(client: Client, name: str, *args: Any) -> str:
    response = client.get(reverse(name, args=args))
    assert response.status_code == 200
    return response.content.decode()


def _stop(client: Client, pk: int) -> Any:
    return client.post(reverse("admin:django_jobs_worker_stop", args=[pk]), follow=True)


def test_the_list_tells_who_lives_and_what_each_runs(client: Client) -> None:
    worker = factories.make_worker(hostname="web-1", memory_bytes=50 << 20)
    job = factories.make_job(State.RUNNING, worker=worker, name="shop.send_mail")
    page = _page(_login(client, "view_worker", "view_job"), LIST)
    assert "web-1:1" in page
    assert f"shop.send_mail #{job.pk}</a>" in page
    assert "50.0\xa0MB" in page


def test_the_release_of_a_worker_is_in_the_list_and_on_its_page(client: Client) -> None:
    sha = "4f2c1a7" + "0" * 33
    worker = factories.make_worker(hostname="web-1", release=sha)
    factories.make_worker(hostname="web-2", release="<b>2</b>")
    client = _login(client, "view_worker")
    page = _page(client, LIST)
    assert 'web-1:1 <span class="jobs-minor">4f2c1a7</span>' in page
    assert "&lt;b&gt;2&lt;/b&gt;" in page
    assert sha in _page(client, "admin:django_jobs_worker_change", worker.pk)


def test_a_worker_without_a_heartbeat_is_marked(client: Client) -> None:
    fresh = factories.make_worker()
    stale = factories.make_worker(
        heartbeat_at=factories.ago(seconds=(get_settings().worker.stale_after + timedelta(seconds=1)).total_seconds())
    )
    client = _login(client, "view_worker")
    assert "no heartbeat" in _page(client, "admin:django_jobs_worker_change", stale.pk)
    assert "no heartbeat" not in _page(client, "admin:django_jobs_worker_change", fresh.pk)


def test_a_worker_is_stopped_once_with_permission(client: Client) -> None:
    worker = factories.make_worker()
    client = _login(client, "view_worker", "stop_worker")
    assert ">Stop</button>" in _page(client, "admin:django_jobs_worker_change", worker.pk)
    assert "Stop requested: the worker" in _stop(client, worker.pk).content.decode()
    worker.refresh_from_db()
    assert worker.stop_requested_by == "ada"
    assert LogEntry.objects.get().get_change_message() == "Stop requested."
    assert "stop requested before" in _stop(client, worker.pk).content.decode()
    assert ">Stop</button>" not in _page(client, "admin:django_jobs_worker_change", worker.pk)


def test_selected_workers_are_stopped(client: Client) -> None:
    running, stopped = factories.make_worker(), factories.make_worker(state="stopped")
    client = _login(client, "view_worker", "stop_worker")
    response = client.post(
        reverse(LIST),
        {"action": "stop_selected", "_selected_action": [running.pk, stopped.pk]},
        follow=True,
    )
    assert "Stop requested for 1 worker." in response.content.decode()
    assert list(Worker.objects.filter(stop_requested_at__isnull=False)) == [running]


def test_a_viewer_sees_no_button_and_is_refused(client: Client) -> None:
    worker = factories.make_worker()
    client = _login(client, "view_worker")
    assert ">Stop</button>" not in _page(client, "admin:django_jobs_worker_change", worker.pk)
    assert "stop_selected" not in _page(client, LIST)
    assert _stop(client, worker.pk).status_code == 403
    worker.refresh_from_db()
    assert worker.stop_requested_at is None


def test_without_any_permission_there_is_nothing_to_see(client: Client) -> None:
    assert _login(client).get(reverse(LIST)).status_code == 403


def test_a_deleted_worker_leads_to_the_list_with_a_message(client: Client) -> None:
    client = _login(client, "view_worker", "stop_worker")
    assert "no longer exists" in _stop(client, 987_654).content.decode()


def test_asking_is_a_post(client: Client) -> None:
    worker = factories.make_worker()
    client = _login(client, "view_worker", "stop_worker")
    assert client.get(reverse("admin:django_jobs_worker_stop", args=[worker.pk])).status_code == 404


@pytest.mark.parametrize("number", [10, 60])
def test_the_list_takes_the_same_few_queries_however_many_workers(
    client: Client, number: int, django_assert_max_num_queries: Any
) -> None:
    for _ in range(number):
        factories.make_job(State.RUNNING)
    client = _login(client, "view_worker", "stop_worker")
    with django_assert_max_num_queries(12):
        client.get(reverse(LIST))
