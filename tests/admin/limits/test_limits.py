"""Pages of limits: the list, who sees keys, a limit's page, and reopening."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from django_jobs import job
from django_jobs.limits import CircuitBreaker, Concurrency, Ordering, RateLimit
from django_jobs.models import Limit
from django_jobs.policy.limits import PermitPhase
from django_jobs.policy.states import State
from django_jobs.store.limits.admit import admit
from tests import factories
from tests.admin.staff import log_in, url
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)


@job(name="shop.call", rate_limit=RateLimit(10, key="customer"))
def call(customer: str) -> None:
    """Have the limit whose keys the tests make: keys that no code knows are masked."""


@job(name="shop.ask", breaker=CircuitBreaker(failures=5, key="partner"))
def ask(partner: str) -> None:
    """Have the breaker."""


SEES = ("view_limit", "view_job", "view_job_arguments")


def _get(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def _closed(**fields: Any) -> Limit:
    closed_until = factories.ago(minutes=-5)
    values = {"name": "shop.ask", "key": "acme", "closed_until": closed_until, "is_tripped": True}
    return factories.make_limit(CircuitBreaker(failures=5), **(values | fields))


def test_the_list_tells_how_far_each_limit_is_used_and_who_waits(client: Client) -> None:
    log_in(client, *SEES)
    rate = factories.make_limit(RateLimit(10), name="shop.call", key="acme")
    factories.make_permit(rate, phase=PermitPhase.HELD)
    factories.make_permit(rate)
    _closed()
    page = _get(client, url("limit_changelist"))
    assert url("limit_change", rate.pk) in page
    assert '<td class="field-key_display">acme</td>' in page
    assert '<td class="field-rule_display">10 per 1 s</td>' in page
    assert '<td class="field-use">1 / 10</td>' in page
    assert '<td class="field-waiting">1</td>' in page
    assert "circuit breaker open until" in page


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (RateLimit(10), "10 per 1 s"),
        (RateLimit(100, per=timedelta(minutes=1)), "100 per 1 min"),
        (RateLimit(1_000, per=timedelta(hours=1)), "1,000 per 1 h"),
        (RateLimit(5, burst=20), "20 per 4 s"),
        (RateLimit(5, per=timedelta(days=2), counts_from="start"), "5 per 2 d, from the start of each run"),
        (RateLimit(2, per=timedelta(seconds=1.5)), "2 per 1.5 s"),
        (Concurrency(3), "3 at a time"),
        (Ordering("customer"), "one at a time"),
        (Ordering("customer", release_on_retry=True), "one at a time; released on retry"),
        (
            CircuitBreaker(failures=5, open_for=timedelta(minutes=5)),
            "opens for 5 min after 5 failures in 1 min",
        ),
        (CircuitBreaker(failures=1), "opens for 1 min after 1 failure in 1 min"),
    ],
)
def test_a_rule_is_shown_in_words(client: Client, given: Any, words: str) -> None:
    log_in(client, *SEES)
    limit = factories.make_limit(given)
    assert f'<td class="field-rule_display">{words}</td>' in _get(client, url("limit_changelist"))
    assert f"<bdi>{words}</bdi>" in _get(client, url("limit_change", limit.pk))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?kind=rate", {"7", "77"}),
        ("?kind=order&name=shop.call", set()),
        ("?name=shop.bill", {"8"}),
        ("?q=77", {"77"}),
        ("?q=7&kind=rate", {"7", "77"}),
        ("?q=7&name=shop.bill", set()),
    ],
)
def test_the_list_is_filtered_by_its_address(client: Client, query: str, found: set[str]) -> None:
    log_in(client, *SEES)
    limits = {key: factories.make_limit(RateLimit(10), name="shop.call", key=key) for key in ("7", "77")}
    limits["8"] = factories.make_limit(Ordering("customer"), name="shop.bill", key="8")
    page = _get(client, url("limit_changelist") + query)
    shown = {key for key, limit in limits.items() if url("limit_change", limit.pk) in page}
    assert shown == found


def test_the_list_goes_on_with_next_page(client: Client) -> None:
    log_in(client, *SEES)
    for at in range(60):
        factories.make_limit(RateLimit(10), name="shop.call", key=f"{at:02}")
    page = _get(client, url("limit_changelist"))
    assert ">49<" in page
    assert ">50<" not in page
    address = page.split('rel="next"')[0].rpartition('href="')[2].rpartition('"')[0]
    page = _get(client, url("limit_changelist") + address.replace("&amp;", "&"))
    assert ">50<" in page
    assert ">49<" not in page
    assert "First page" in page
    response = client.get(url("limit_changelist") + "?below=x")
    assert response.status_code == 302


def test_the_names_of_limits_in_the_code_are_offered(client: Client) -> None:
    log_in(client, *SEES)
    assert f"?name={sample.call_api.name}" in _get(client, url("limit_changelist"))


def test_keys_are_shown_to_those_only_who_may_see_arguments(client: Client) -> None:
    log_in(client, "view_limit")
    limit = factories.make_limit(RateLimit(10), name="shop.call", key="acme-4711")
    for address in (url("limit_changelist"), url("limit_change", limit.pk)):
        assert "4711" not in _get(client, address)
    assert url("limit_change", limit.pk) in _get(client, url("limit_changelist") + "?q=nothing")


def test_the_key_of_a_secret_argument_is_masked(client: Client, settings: Any) -> None:
    settings.DJANGO_JOBS = {**settings.DJANGO_JOBS, "REDACT": ["customer"]}
    log_in(client, *SEES)
    sample.bill.enqueue(4711)
    admit()
    limit = Limit.objects.get()
    for address in (url("limit_changelist"), url("limit_change", limit.pk)):
        page = _get(client, address)
        assert "4711" not in page
        assert "********" in page


def test_a_limits_page_tells_who_has_permits_who_waits_and_what_still_counts(client: Client) -> None:
    log_in(client, *SEES)
    limit = factories.make_limit(RateLimit(10), name="shop.call", key="<b>acme</b>")
    running = factories.make_job(State.RUNNING, name="shop.call")
    factories.make_permit(limit, running, phase=PermitPhase.HELD)
    waiting = factories.make_permit(limit)
    gone = factories.make_permit(limit, phase=PermitPhase.COOLING, free_at=factories.ago(minutes=-1))
    gone.job.__class__.objects.filter(pk=gone.job_id)._raw_delete("default")
    page = _get(client, url("limit_change", limit.pk))
    assert "<b>acme</b>" not in page
    held, rest = page.split('id="limit-waiting"')
    line, cooling = rest.split('id="limit-cooling"')
    assert url("job_change", running.pk) in held
    assert url("job_change", waiting.job_id) in line
    assert f"#{gone.job_id}" in cooling
    assert url("job_change", gone.job_id) not in cooling


def test_a_jobs_page_leads_to_its_limits(client: Client) -> None:
    log_in(client, *SEES)
    job = sample.sync_customer.enqueue_many([(1, "api")] * 2)[1]
    admit()
    page = _get(client, url("job_change", job.pk))
    for limit in Limit.objects.all():
        assert f'<a href="{url("limit_change", limit.pk)}">' in page
    assert f"ordering {job.name}, key &quot;1&quot;</a> (waiting)" in page
    assert "Waiting for its turn in the order of" in page


def test_a_jobs_page_takes_few_statements_at_a_limit(client: Client, django_assert_max_num_queries: Any) -> None:
    log_in(client, *SEES)
    job = sample.sync_customer.enqueue_many([(1, "api")] * 20)[-1]
    admit()
    with django_assert_max_num_queries(26):
        _get(client, url("job_change", job.pk))


def test_a_deleted_limit_leads_to_the_list_with_a_message(client: Client) -> None:
    log_in(client, *SEES, "reopen_limit")
    for pk in ("7", "none", str(2**70)):
        for name in ("limit_change", "limit_reopen"):
            response = client.get(url(name, pk), follow=True)
            assert "no longer exists" in response.content.decode()


def test_reopening_is_confirmed_then_done_and_logged(client: Client) -> None:
    user = log_in(client, *SEES, "reopen_limit")
    limit = _closed()
    assert url("limit_reopen", limit.pk) in _get(client, url("limit_change", limit.pk))
    assert "Yes, reopen" in _get(client, url("limit_reopen", limit.pk))
    assert Limit.objects.get().is_tripped
    answer = client.post(url("limit_reopen", limit.pk), {"confirmed": "1"}, follow=True).content.decode()
    assert "1 limit reopened." in answer
    limit.refresh_from_db()
    assert (limit.closed_until, limit.is_tripped) == (None, False)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.get_change_message()) == (
        user,
        str(limit.pk),
        "Reopened.",
    )
    assert url("limit_reopen", limit.pk) not in _get(client, url("limit_change", limit.pk))
    answer = client.post(url("limit_reopen", limit.pk), {"confirmed": "1"}, follow=True).content.decode()
    assert "Nothing was changed" in answer
    assert LogEntry.objects.count() == 1


def test_selected_limits_are_reopened_after_a_question(client: Client) -> None:
    log_in(client, *SEES, "reopen_limit")
    limits = [_closed(), _closed(key="other", is_tripped=False), factories.make_limit(RateLimit(10))]
    chosen = {"action": "reopen_selected", "_selected_action": [limit.pk for limit in limits]}
    asked = client.post(url("limit_changelist"), chosen).content.decode()
    assert "Yes, reopen" in asked
    assert Limit.objects.filter(closed_until__isnull=False).count() == 2
    answer = client.post(url("limit_changelist"), {**chosen, "confirmed": "1"}, follow=True)
    assert "2 limits reopened." in answer.content.decode()
    assert not Limit.objects.filter(closed_until__isnull=False).exists()


@pytest.mark.parametrize(
    ("permissions", "looks", "reopens"),
    [
        ((), 403, 403),
        (("reopen_limit",), 403, 403),
        (("view_job", "view_job_arguments"), 403, 403),
        (("view_limit",), 200, 403),
        (("view_limit", "reopen_limit"), 200, 302),
    ],
)
def test_each_thing_needs_its_permission(
    client: Client, permissions: tuple[str, ...], looks: int, reopens: int
) -> None:
    log_in(client, *permissions)
    limit = _closed()
    assert client.get(url("limit_changelist")).status_code == looks
    assert client.get(url("limit_change", limit.pk)).status_code == looks
    if looks == 200:
        shows = url("limit_reopen", limit.pk) in _get(client, url("limit_change", limit.pk))
        assert shows is ("reopen_limit" in permissions)
        offers = "reopen_selected" in _get(client, url("limit_changelist"))
        assert offers is ("reopen_limit" in permissions)
    assert client.post(url("limit_reopen", limit.pk), {"confirmed": "1"}).status_code == reopens
    limit.refresh_from_db()
    assert limit.is_tripped is (reopens == 403)


def test_a_limit_is_not_changed_by_form(client: Client) -> None:
    log_in(client, *SEES, "reopen_limit")
    limit = _closed()
    assert client.post(url("limit_change", limit.pk), {"name": "x"}).status_code == 403
    assert client.get(url("limit_add")).status_code == 403


@pytest.mark.parametrize("number", [10, 50])
def test_the_list_takes_the_same_few_queries_however_many_limits(
    client: Client, number: int, django_assert_max_num_queries: Any
) -> None:
    log_in(client, *SEES, "reopen_limit")
    for at in range(number):
        factories.make_permit(factories.make_limit(RateLimit(10), key=f"{at:03}"))
    with django_assert_max_num_queries(12):
        _get(client, url("limit_changelist"))
    with django_assert_max_num_queries(14):
        _get(client, url("limit_change", Limit.objects.all()[0].pk))
