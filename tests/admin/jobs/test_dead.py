"""The page of a dead job: of what it died, in its sentence and its newest attempt."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from django_jobs.policy.states import State
from tests import factories

from ..staff import log_in, url

pytestmark = pytest.mark.django_db


def test_a_dead_job_says_of_what_it_died(client: Client) -> None:
    user = log_in(client, "view_job")
    job = factories.make_job(State.DEAD, max_attempts=3)
    factories.make_letter(job, attempt=2, reason="discarded", error_class="shop.NoCard", error_message="no card 4711")
    page = client.get(url("job_change", job.pk)).content.decode()
    assert "</strong> Discarded by the job at attempt 2 of 3: shop.NoCard</p>" in page
    assert "4711" not in page
    user.user_permissions.add(Permission.objects.get(codename="view_job_arguments"))
    page = client.get(url("job_change", job.pk)).content.decode()
    assert "Discarded by the job at attempt 2 of 3: shop.NoCard: no card 4711" in page
    quiet = factories.make_job(State.DEAD)
    factories.make_letter(quiet, attempt=5, error_class="", error_message="")
    assert "Attempts used up at attempt 5 of 5.</p>" in client.get(url("job_change", quiet.pk)).content.decode()
    assert client.get(url("job_change", factories.make_job(State.DEAD).pk)).status_code == 200


def test_the_newest_attempt_comes_first(admin_client: Client) -> None:
    job = factories.make_job(State.DEAD)
    for number in (1, 2, 3):
        factories.make_attempt(job, number=number, claim_number=number)
    page = admin_client.get(url("job_change", job.pk)).content.decode()
    steps = ["<strong>Dead<", *(f"<strong>Attempt {number}<" for number in (3, 2, 1)), "<strong>Enqueued<"]
    assert [page.index(step) for step in steps] == sorted(page.index(step) for step in steps)
