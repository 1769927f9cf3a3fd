"""The job list: filters in the address, few statements, and no hint of what the user may not see."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from django_jobs.models import Job
from django_jobs.policy.states import State
from tests import factories
from tests.admin.staff import log_in, url
from tests.sampleapp.jobs import echo

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = "<script>alert(1)</script>\u202eevil\u2066 \U0001f9e8"
LIST = "job_changelist"


def ids(client: Client, query: Any = None) -> list[int]:
    """Return the jobs that the list shows, in its order."""
    page = client.get(url(LIST), query or {}, follow=True)
    assert page.status_code == 200
    return [int(pk) for pk in re.findall(r'name="_selected_action" value="(\d+)"', page.content.decode())]


def test_arguments_are_shown_short_and_redacted_to_those_who_may_see_them(client: Client) -> None:
    factories.make_job(name=echo.name, arguments={"value": {"password": "hunter2", "order": 4711}})
    factories.make_job(name=echo.name, arguments={"value": "x" * 10_000})
    user = log_in(client, "view_job")
    assert "4711" not in client.get(url(LIST)).content.decode()
    user.user_permissions.add(Permission.objects.get(codename="view_job_arguments"))
    page = client.get(url(LIST)).content.decode()
    assert "&quot;order&quot;: 4711" in page
    assert "hunter2" not in page
    assert "xxx" not in page


def test_each_row_links_to_the_page_of_its_type(admin_client: Client) -> None:
    for name in ("shop.pay", "<shop>&mail"):
        factories.make_job(name=name)
    page = admin_client.get(url(LIST)).content.decode()
    for name, text in (("shop.pay", "shop.pay"), ("%3Cshop%3E%26mail", "&lt;shop&gt;&amp;mail")):
        assert f'<a href="{url("job_type")}?name={name}"><bdi class="job-name">{text}</bdi></a>' in page


def test_times_that_no_job_of_the_page_has_are_no_column(admin_client: Client) -> None:
    factories.make_job(State.SCHEDULED)
    page = admin_client.get(url(LIST)).content.decode()
    assert "column-enqueued" in page
    assert "column-waited" not in page
    assert "column-ran" not in page
    factories.make_job(State.SUCCEEDED)
    page = admin_client.get(url(LIST)).content.decode()
    assert "column-waited" in page
    assert "column-ran" in page


def test_each_filter_is_an_address(admin_client: Client) -> None:
    worker, schedule = factories.make_worker(), factories.make_schedule()
    odd = factories.make_job(State.DEAD, name="shop.odd", queue_name="mail", arguments={"user_id": 7}, worker=worker)
    factories.make_letter(odd)
    factories.make_attempt(odd, error_class="builtins.ValueError", error_message="no card")
    factories.make_tick(schedule, job=odd)
    factories.make_jobs(3, enqueued_at=factories.ago(days=2))
    queries = [
        {"state": "dead"},
        {"queue": "mail"},
        {"name": "shop.odd"},
        {"q": "odd"},
        {"q": str(odd.pk)},
        {"q": "user_id=7"},
        {"argument": "user_id=7"},
        {"error": "no card"},
        {"error": "ValueError"},
        {"error": "builtins.ValueError"},
        {"worker": str(worker.pk)},
        {"schedule": str(schedule.pk)},
        {"since": "P1D"},
        {"since": factories.ago(hours=1).isoformat()},
        {"ids": str(odd.pk)},
        {"state": "dead", "queue": "mail", "error": "card", "q": "odd"},
    ]
    for query in queries:
        assert ids(admin_client, query) == [odd.pk], query
    assert len(ids(admin_client)) == 4
    assert len(ids(admin_client, {"until": factories.ago(days=1).isoformat()})) == 3


def test_filters_are_offered_and_kept_while_others_are_chosen(admin_client: Client) -> None:
    factories.make_queue("mail")
    schedule = factories.make_schedule("nightly")
    query = {"state": "ready", "since": "P1D", "queue": "gone", "error": "no card"}
    page = admin_client.get(url(LIST), query).content.decode()
    for text in ("By state", "By queue", "By enqueued at", "Last hour", "mail", ">gone<"):
        assert text in page, text
    assert "?error=no+card&amp;queue=mail&amp;since=P1D&amp;state=ready" in page
    assert f'<option value="{schedule.pk}">nightly</option>' in page
    assert '<input type="hidden" name="state" value="ready">' in page
    assert 'value="no card"' in page
    assert '<option value="tests.sampleapp.jobs.echo">' in page


def test_older_pages_are_reached_by_an_address_and_filters_begin_at_the_first(admin_client: Client) -> None:
    jobs = factories.make_jobs(120)
    seen, address = [], url(LIST) + "?queue=default"
    for _ in range(3):
        page = admin_client.get(address).content.decode()
        seen += [int(pk) for pk in re.findall(r'name="_selected_action" value="(\d+)"', page)]
        following = re.search(r'<a href="([^"]*)" rel="next"', page)
        if following:
            address = url(LIST) + following[1].replace("&amp;", "&")
    assert seen == [job.pk for job in jobs[::-1]]
    assert 'rel="next"' not in page
    assert "First page" in page
    assert '<a href="?queue=default&amp;state=ready">' in page
    assert '<input type="hidden" name="below"' not in page


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"state": "odd"}, "State: expected one of"),
        ({"argument": "x"}, "Argument: expected a name"),
        ({"since": "now"}, "Since: expected an instant"),
        ({"worker": "-1"}, "Worker: expected an id"),
    ],
)
def test_an_invalid_address_is_answered_with_the_error(admin_client: Client, query: dict[str, str], said: str) -> None:
    page = admin_client.get(url(LIST), query, follow=True)
    assert said in page.content.decode()


@pytest.mark.parametrize("query", [{"below": "x"}, {"odd": "x"}, {"below": "[1]", "state": "ready"}, {"o": "1"}])
def test_an_address_that_nobody_made_is_no_error(admin_client: Client, query: dict[str, str]) -> None:
    assert admin_client.get(url(LIST), query, follow=True).status_code == 200


@pytest.mark.parametrize("query", [{"argument": "card=x"}, {"error": "x"}, {"q": "card=x"}])
def test_who_may_not_see_arguments_cannot_search_for_them(client: Client, query: dict[str, str]) -> None:
    log_in(client, "view_job")
    assert client.get(url(LIST), query).status_code == 403
    page = client.get(url(LIST)).content.decode()
    assert 'name="argument"' not in page
    assert 'name="error"' not in page


def test_progress_waits_and_workers_are_shown(admin_client: Client) -> None:
    worker = factories.make_worker(hostname="web-1")
    began = factories.ago(minutes=2, seconds=1)
    factories.make_job(
        State.RUNNING,
        worker=worker,
        ready_at=began - timedelta(minutes=3),
        started_at=began,
        progress_done=3,
        progress_total=9,
    )
    factories.make_job(State.RUNNING, worker_id=4711)
    page = admin_client.get(url(LIST)).content.decode()
    assert '<progress value="3" max="9"' in page
    assert "2 min " in page
    assert "3 min 0 s" in page
    assert str(worker) in page


@pytest.mark.parametrize("number", [10, 60])
@pytest.mark.parametrize("query", [{}, {"state": "running"}, {"state": "dead", "error": "x"}])
def test_a_list_takes_few_statements_at_any_size(
    admin_client: Client, number: int, query: dict[str, str], django_assert_max_num_queries: Any
) -> None:
    for _ in range(number // 2):
        factories.make_letter()
        factories.make_job(State.RUNNING)
        factories.make_schedule(f"s{_}")
    with django_assert_max_num_queries(16):
        admin_client.get(url(LIST), query)


@pytest.mark.parametrize("number", [10, 60])
@pytest.mark.parametrize(
    "query", [{"name": "rare"}, {"state": "dead", "error": "y"}, {"since": "P1D", "argument": "a=1"}]
)
def test_a_search_that_goes_on_takes_few_statements_too(
    admin_client: Client,
    number: int,
    query: dict[str, str],
    django_assert_max_num_queries: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("django_jobs.admin.jobs.changelist.SCAN_LIMIT", 1)
    for _ in range(number):
        factories.make_letter()
    factories.make_job(State.RUNNING, worker=factories.make_worker(), name="rare")
    with django_assert_max_num_queries(20):
        admin_client.get(url(LIST), query)


def test_a_search_says_how_far_it_has_looked_and_goes_on_from_there(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_jobs.admin.site.paging.PAGE_SECONDS", 0)
    monkeypatch.setattr("django_jobs.admin.jobs.changelist.SCAN_LIMIT", 5)
    rare = factories.make_job(State.SUCCEEDED, name="rare", enqueued_at=factories.ago(days=2))
    factories.make_jobs(9, State.SUCCEEDED)
    page = admin_client.get(url(LIST), {"name": "rare"}).content.decode()
    assert "Looked at the newest 5 jobs, back to <time" in page
    following = re.search(r'<a href="([^"]*)" rel="next">Go on from here</a>', page)
    assert following
    page = admin_client.get(url(LIST) + following[1].replace("&amp;", "&")).content.decode()
    assert f'value="{rare.pk}"' in page
    assert "Looked at" not in page
    assert "Go on" not in page
    assert "Nothing found." not in page
    monkeypatch.undo()
    assert "Nothing found." in admin_client.get(url(LIST), {"name": "none"}).content.decode()


def test_text_from_jobs_is_escaped(admin_client: Client) -> None:
    factories.make_job(name=HOSTILE, queue_name=HOSTILE, progress_done=1, progress_message=HOSTILE)
    factories.make_queue(HOSTILE)
    page = admin_client.get(url(LIST), {"queue": HOSTILE}).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "\U0001f9e8" in page


ACTIONS = [
    ("retry_selected", "retry_job", State.DEAD),
    ("retry_selected", "retry_job", State.SCHEDULED),
    ("cancel_selected", "cancel_job", State.READY),
    ("copy_selected", "enqueue_job", State.SUCCEEDED),
    ("purge_selected", "purge_job", State.SUCCEEDED),
]


@pytest.mark.parametrize(("action", "permission", "state"), ACTIONS)
def test_an_action_needs_its_permission_and_is_logged(
    client: Client, action: str, permission: str, state: State
) -> None:
    job = factories.make_job(state)
    before = Job.objects.values_list("pk", "state").get()
    posted = {"action": action, "_selected_action": [job.pk], "confirmed": "1"}
    others = [row for row in ("retry_job", "cancel_job", "enqueue_job", "purge_job") if row != permission]
    user = log_in(client, "view_job", *others)
    assert f'value="{action}"' not in client.get(url(LIST)).content.decode()
    client.post(url(LIST), posted)
    assert Job.objects.values_list("pk", "state").get() == before
    assert not LogEntry.objects.exists()

    user.delete()
    log_in(client, "view_job", permission)
    assert f'value="{action}"' in client.get(url(LIST)).content.decode()
    client.post(url(LIST), posted)
    assert list(Job.objects.values_list("pk", "state")) != [before]
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.content_type.model) == ("bo", "job")
    copied = action == "copy_selected"
    assert (entry.object_id == str(job.pk)) is not copied


def test_copies_of_selected_jobs_leave_out_secrets_that_one_may_not_see(client: Client) -> None:
    log_in(client, "view_job", "enqueue_job")
    plain = factories.make_job(State.SUCCEEDED, arguments={"n": 1})
    secret = factories.make_job(State.SUCCEEDED, arguments={"password": "x"})
    posted = {"action": "copy_selected", "_selected_action": [plain.pk, secret.pk]}
    page = client.post(url(LIST), posted, follow=True).content.decode()
    copy = Job.objects.latest("pk")
    assert (copy.arguments, copy.metadata, Job.objects.count()) == ({"n": 1}, {"copy_of": plain.pk}, 3)
    assert f"?ids={copy.pk}" in page
    page = client.post(url(LIST), {**posted, "_selected_action": [secret.pk]}, follow=True).content.decode()
    assert "0 of 1 copy enqueued." in page


def test_what_was_purged_meanwhile_is_no_error(admin_client: Client) -> None:
    for action in {action for action, _, _ in ACTIONS}:
        posted = {"action": action, "_selected_action": [4711], "confirmed": "1"}
        assert admin_client.post(url(LIST), posted, follow=True).status_code == 200


def test_all_that_match_are_never_acted_on_at_once(admin_client: Client) -> None:
    jobs = factories.make_jobs(3)
    posted = {"action": "cancel_selected", "_selected_action": [jobs[0].pk], "select_across": "1"}
    admin_client.post(url(LIST), posted)
    assert Job.objects.filter(state="cancelled").count() == 1
