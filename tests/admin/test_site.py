"""The admin's pages and actions, through Django's own request cycle."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from django_jobs.admin.site.times import format_timestamp
from django_jobs.models import DeadLetter, Job, Queue
from django_jobs.policy.states import State
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada", password="secret"))
    return client


def _act(client: Client, model: str, action: str, *ids: Any, **answer: Any) -> str:
    response = client.post(
        reverse(f"admin:django_jobs_{model}_changelist"),
        {"action": action, "_selected_action": ids, **answer},
        follow=True,
    )
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("model", ["job", "deadletter", "queue", "worker"])
def test_every_list_and_detail_page_is_shown(staff: Client, model: str) -> None:
    dead_letter = factories.make_letter()
    assert dead_letter.job is not None
    factories.make_attempt(
        dead_letter.job, error_class="builtins.ValueError", error_message="<b>no</b>", traceback="Traceback"
    )
    rows = {
        "job": dead_letter.job,
        "deadletter": dead_letter,
        "queue": factories.make_queue("mail"),
        "worker": factories.make_worker(),
    }
    assert staff.get(reverse(f"admin:django_jobs_{model}_changelist")).status_code == 200
    page = staff.get(reverse(f"admin:django_jobs_{model}_change", args=[rows[model].pk]))
    assert page.status_code == 200
    assert "<b>no</b>" not in page.content.decode()
    assert 'name="_save"' not in page.content.decode()


@pytest.mark.parametrize("model", ["job", "deadletter", "queue", "worker"])
def test_nothing_is_added_or_deleted_by_form(staff: Client, model: str) -> None:
    assert staff.get(reverse(f"admin:django_jobs_{model}_add")).status_code == 403
    row = factories.make_queue("mail") if model == "queue" else factories.make_letter()
    response = staff.post(reverse(f"admin:django_jobs_{model}_delete", args=[row.pk]), {"post": "yes"})
    assert response.status_code in {302, 403}
    assert DeadLetter.objects.count() + Queue.objects.count() == 1


def test_a_jobs_page_shows_its_timeline(staff: Client) -> None:
    job = factories.make_job(State.DEAD, arguments={"user_id": 7}, result_data=None, progress_done=3, progress_total=9)
    factories.make_attempt(job, error_class="builtins.ValueError", error_message="no card", traceback="Traceback: here")
    page = staff.get(reverse("admin:django_jobs_job_change", args=[job.pk])).content.decode()
    assert "<strong>Attempt 1</strong>" in page
    assert "<bdi>ValueError: no card</bdi>" in page
    assert "Traceback: here</pre></details>" in page
    assert "&quot;user_id&quot;: 7" in page
    assert '<progress value="3" max="9"' in page
    assert format_timestamp(job.enqueued_at, is_precise=True, is_relative=False) in page
    assert "Name unknown since" not in page


def test_jobs_are_run_again_cancelled_and_purged_where_their_state_allows(staff: Client) -> None:
    dead, running = factories.make_job(State.DEAD), factories.make_job(State.RUNNING)
    scheduled, done = factories.make_job(State.SCHEDULED), factories.make_job(State.SUCCEEDED)
    everything = [job.pk for job in (dead, running, scheduled, done)]
    assert "2 of 4 jobs changed." in _act(staff, "job", "retry_selected", *everything)
    assert [job.refresh().state for job in (dead, running, scheduled, done)] == [
        "ready",
        "running",
        "ready",
        "succeeded",
    ]
    assert "3 of 4 jobs changed." in _act(staff, "job", "cancel_selected", *everything)
    assert running.refresh().cancel_requested_at is not None
    assert "deleted permanently" in _act(staff, "job", "purge_selected", *everything)
    assert Job.objects.count() == 4
    assert "3 of 4 jobs changed." in _act(staff, "job", "purge_selected", *everything, confirmed="1")
    assert list(Job.objects.all()) == [running]


def test_a_viewer_may_view_and_not_act(client: Client) -> None:
    from django.contrib.auth.models import Permission

    viewer = User.objects.create_user("bo", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_job"))
    client.force_login(viewer)
    job = factories.make_job()
    assert client.get(reverse("admin:django_jobs_job_changelist")).status_code == 200
    _act(client, "job", "cancel_selected", job.pk)
    assert job.refresh().state == "ready"
