"""Attempts: read-only, found by job anywhere in the table, errors for users who may see them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from django_jobs.models import Attempt
from django_jobs.policy.states import State
from tests import factories
from tests.admin.staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = "<script>alert(1)</script>\u202e \U0001f9e8"


def ids(client: Client, query: dict[str, Any]) -> list[int]:
    page = client.get(url("attempt_changelist"), query)
    assert page.status_code == 200
    found = re.findall(r"/attempt/(\d+)/change/", page.content.decode())
    return [int(pk) for pk in dict.fromkeys(found)]


def test_attempts_are_listed_by_outcome_job_and_worker(admin_client: Client) -> None:
    worker, job = factories.make_worker(), factories.make_job(State.DEAD)
    first = factories.make_attempt(job, worker=worker)
    second = factories.make_attempt(job, claim_number=2, outcome="timed_out")
    other = factories.make_attempt(factories.make_job(State.SUCCEEDED), outcome="succeeded")
    assert ids(admin_client, {}) == [other.pk, second.pk, first.pk]
    assert ids(admin_client, {"outcome": "timed_out"}) == [second.pk]
    assert ids(admin_client, {"job__id__exact": str(job.pk)}) == [second.pk, first.pk]
    assert ids(admin_client, {"worker__id__exact": str(worker.pk)}) == [first.pk]
    assert ids(admin_client, {"job__id__exact": "4711"}) == []
    assert ids(admin_client, {"job__id__exact": str(job.pk), "below": str(second.pk)}) == [first.pk]
    page = admin_client.get(url("attempt_changelist")).content.decode()
    assert url("job_change", job.pk) in page
    assert url("worker_change", worker.pk) in page
    assert ">timed out<" in page


@pytest.mark.parametrize("query", [{"job__id__exact": "x"}, {"outcome": "odd"}, {"job__name": "x"}, {"below": "x"}])
def test_an_address_that_nobody_made_is_no_error(admin_client: Client, query: dict[str, str]) -> None:
    page = admin_client.get(url("attempt_changelist"), query, follow=True)
    assert page.status_code in {200, 400}


def test_an_attempts_page_shows_all_of_it(admin_client: Client) -> None:
    job = factories.make_job(State.DEAD, name="shop.pay")
    attempt = factories.make_attempt(
        job,
        error_class="builtins.ValueError",
        error_message=HOSTILE,
        traceback="".join(f"line {n}\n" for n in range(99_999)),
    )
    page = admin_client.get(url("attempt_change", attempt.pk)).content.decode()
    for text in (f"shop.pay #{job.pk}", "ValueError", "&lt;script&gt;", "line 99998", "characters left out"):
        assert text in page, text
    assert "<script>alert" not in page
    assert url("job_text", job.pk, "attempt-1") in page
    assert len(page) < 100_000
    assert 'name="_save"' not in page


def test_without_the_permission_errors_are_hidden(client: Client) -> None:
    log_in(client, "view_attempt")
    attempt = factories.make_attempt(
        factories.make_job(State.DEAD),
        error_class="builtins.ValueError",
        error_message="visible?",
        traceback="visible?",
    )
    for address in (url("attempt_changelist"), url("attempt_change", attempt.pk)):
        page = client.get(address).content.decode()
        assert "ValueError" in page
        assert "visible?" not in page


def test_nobody_changes_what_has_happened(admin_client: Client) -> None:
    attempt = factories.make_attempt(factories.make_job(State.DEAD))
    assert admin_client.get(url("attempt_add")).status_code == 403
    assert admin_client.post(url("attempt_delete", attempt.pk), {"post": "yes"}).status_code == 403
    assert admin_client.post(url("attempt_change", attempt.pk), {"number": 9}).status_code == 403
    assert Attempt.objects.get().number == 1


def test_staff_without_the_permission_see_nothing(client: Client) -> None:
    log_in(client, "view_job")
    attempt = factories.make_attempt(factories.make_job(State.DEAD))
    assert client.get(url("attempt_changelist")).status_code == 403
    assert client.get(url("attempt_change", attempt.pk)).status_code == 403


@pytest.mark.parametrize("number", [10, 60])
def test_a_list_takes_few_statements_at_any_size(
    admin_client: Client, number: int, django_assert_max_num_queries: Any
) -> None:
    for _ in range(number):
        factories.make_attempt(factories.make_job(State.DEAD), worker=factories.make_worker())
    with django_assert_max_num_queries(10):
        admin_client.get(url("attempt_changelist"))
