"""The dashboard's page and its refresh; ``tests/store/stats/test_dashboard.py`` tests the numbers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_jobs.policy.states import State
from django_jobs.store.stats.rollup import roll_up
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

PAGE, NOW = "admin:django_jobs_dashboard", "admin:django_jobs_dashboard_now"
PARTS, TIMES = ("succeeded", "retried", "dead"), ("wait50", "wait95", "run50", "run95")
HOSTILE = "<script>alert(1)</script>"


def _login(client: Client, *codenames: str) -> Client:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def _page(client: Client, query: str = "") -> str:
    response = client.get(reverse(PAGE) + query)
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
    page = _page(_login(client, "view_job", "view_job_arguments"))
    assert "1 / 4" in page
    assert reverse("admin:django_jobs_job_change", args=[job.pk]) in page
    assert '<progress value="1" max="4"' in page
    assert "NoCard" in page
    assert "no card 4711" in page
    assert f"?fingerprint={dead_letter.fingerprint}" in page
    assert "nightly" in page


def test_without_the_permission_texts_of_errors_are_left_out(client: Client) -> None:
    factories.make_letter(error_message="no card 4711")
    page = _page(_login(client, "view_job"))
    assert "RuntimeError" in page
    assert "no card 4711" not in page


@pytest.mark.parametrize("name", [PAGE, NOW])
def test_who_may_not_see_jobs_is_refused(client: Client, name: str) -> None:
    assert _login(client, "view_queue").get(reverse(name)).status_code == 403


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


def test_the_app_index_links_the_dashboard_for_who_may_see_it(client: Client) -> None:
    client = _login(client, "view_job")
    index = reverse("admin:app_list", args=["django_jobs"])
    assert reverse(PAGE) in client.get(index).content.decode()


@pytest.mark.parametrize("number", [10, 60])
def test_the_page_takes_at_most_thirty_queries(client: Client, number: int, django_assert_max_num_queries: Any) -> None:
    for at in range(number):
        factories.make_queue(f"queue {at}")
        factories.make_job(State.RUNNING)
        factories.make_letter(fingerprint=f"{at:032}")
        factories.make_schedule(f"schedule {at}")
    client = _login(client, "view_job", "view_job_arguments")
    with django_assert_max_num_queries(30):
        _page(client)
