"""Searches for jobs: every filter finds its jobs, page by page, anywhere in the table."""

from __future__ import annotations

from datetime import UTC, timedelta
from itertools import product
from typing import Any

import pytest

from django_jobs.arguments.serialization import encode
from django_jobs.models import DeadLetter, Job, JobIdCheckpoint
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.search.jobs import FilterError, JobFilter, find_jobs, find_jobs_of_object, iter_pages
from tests import factories
from tests.sampleapp.models import Customer, Document

pytestmark = pytest.mark.django_db(transaction=True)


def read(query: dict[str, str]) -> JobFilter:
    return JobFilter.from_query(query, zone=UTC)


def found(query: dict[str, str], **options: Any) -> list[int]:
    return [job.pk for page in iter_pages(read(query), **options) for job in page.rows]


def bury(job: Job) -> Job:
    """Insert so many newer jobs that no range of five ids reaches an older one."""
    factories.make_jobs(8, State.SUCCEEDED, name="newer")
    return job


@pytest.mark.parametrize("state", [State.READY, State.SCHEDULED, State.RUNNING, State.DEAD])
def test_a_state_with_an_index_is_found_anywhere(state: State) -> None:
    job = factories.make_job(state, queue_name="mail")
    if state is State.DEAD:
        factories.make_letter(job)
    bury(job)
    page = find_jobs(read({"state": state.value}), scan=5)
    assert (page.rows, page.next_cursor, page.is_truncated) == ([job], None, False)
    page = find_jobs(read({"state": state.value, "queue": "mail", "name": "sample"}), scan=5)
    assert (page.rows, page.next_cursor) == ([job], None)
    assert find_jobs(read({"state": state.value, "name": "other"}), scan=5).rows == []


def test_a_filter_without_an_index_is_searched_by_ranges_of_ids_which_the_page_names() -> None:
    job = bury(factories.make_job(State.CANCELLED))
    page = find_jobs(read({"state": "cancelled"}), scan=5)
    assert (page.rows, page.is_truncated, page.highest - page.lowest) == ([], True, 4)
    assert found({"state": "cancelled"}, scan=5) == [job.pk]


@pytest.mark.parametrize("query", [{}, {"queue": "a"}, {"name": "odd"}, {"q": "od"}])
@pytest.mark.parametrize("state", [State.READY, State.SCHEDULED, State.RUNNING, State.DEAD, State.SUCCEEDED])
def test_the_pages_show_every_match_once(state: State, query: dict[str, str]) -> None:
    wanted = set()
    ready_at = factories.ago(minutes=1)
    for at in range(9):
        fields: dict[str, Any] = {
            "queue_name": "ab"[at % 2],
            "priority": at % 3,
            "name": "odd" if at % 4 else "even",
        }
        if state is State.READY:
            fields["ready_at"] = ready_at + timedelta(seconds=at // 3)
        job = factories.make_job(state, **fields)
        if state is State.DEAD:
            factories.make_letter(job, status="open" if at % 3 else "resolved")
        name_matches = query.get("name", query.get("q", "")) in job.name
        if name_matches and query.get("queue", job.queue_name) == job.queue_name:
            wanted.add(job.pk)
    for limit, scan in product([1, 2, 3, 100], [2, 5, 100]):
        ids = found({"state": state.value, **query}, limit=limit, scan=scan)
        assert len(ids) == len(wanted)
        assert set(ids) == wanted


@pytest.mark.parametrize("state", ["", *(state.value for state in State)])
def test_of_counted_jobs_only_the_fields_asked_for_the_state_and_those_of_the_order_are_read(state: str) -> None:
    job = factories.make_job(State(state) if state else State.READY)
    if job.state == State.DEAD:
        factories.make_letter(job)
    (row,) = find_jobs(read({"state": state} if state else {}), only=("name", "queue_name")).rows
    order = {"ready": {"priority", "ready_at"}, "scheduled": {"run_after"}}.get(state, set())
    assert set(row.__dict__) - {"_state"} == {"id", "state", "name", "queue_name"} | order


def test_ready_jobs_are_ordered_by_queue_and_priority_and_scheduled_ones_by_due_time() -> None:
    ready = [factories.make_job(priority=priority) for priority in (0, 5, 5)]
    late = factories.make_job(State.SCHEDULED, run_after=factories.ago(hours=-9))
    soon = factories.make_job(State.SCHEDULED, run_after=factories.ago(hours=-1))
    assert found({"state": "ready"}) == [ready[2].pk, ready[1].pk, ready[0].pk]
    assert found({"state": "scheduled"}) == [soon.pk, late.pk]


def test_a_job_whose_dead_letter_was_resolved_is_found_until_redriven_and_once_when_it_dies_again() -> None:
    letter = factories.make_letter(status="resolved")
    assert letter.job is not None
    assert found({"state": "dead"}) == [letter.job.pk]
    redrive(letter.job)
    assert found({"state": "dead"}) == []
    Job.objects.filter(pk=letter.job.pk).update(state=State.DEAD)
    factories.make_letter(letter.job)
    assert found({"state": "dead"}) == [letter.job.pk]


def test_ids_name_parts_and_numbers_are_found() -> None:
    one, two, three = (factories.make_job(name=name) for name in ("shop.mail", "shop.pay", "shop.pay"))
    assert found({"ids": f"{one.pk}, {three.pk}"}) == [three.pk, one.pk]
    assert found({"q": str(two.pk)}) == [two.pk]
    assert found({"q": f"#{two.pk}"}) == [two.pk]
    assert found({"q": "PAY"}) == [three.pk, two.pk]
    assert found({"q": str(one.pk), "state": "dead"}) == []
    assert found({"q": "9" * 19}) == []


def test_a_worker_is_found_on_what_it_runs_and_what_it_ran() -> None:
    worker, other = factories.make_worker(), factories.make_worker()
    running = factories.make_job(State.RUNNING, worker=worker)
    retried = factories.make_job(State.SUCCEEDED, worker=other)
    factories.make_attempt(retried, worker=worker)
    assert found({"worker": str(worker.pk)}) == [retried.pk, running.pk]
    assert found({"worker": str(worker.pk), "state": "running"}) == [running.pk]


def test_a_schedule_is_found_by_its_newest_ticks() -> None:
    schedule = factories.make_schedule()
    job = bury(factories.make_job())
    factories.make_tick(schedule, job=job)
    factories.make_tick(schedule, outcome="skipped", due_at=factories.ago(hours=1))
    assert found({"schedule": str(schedule.pk)}, scan=5) == [job.pk]
    assert found({"schedule": "4711"}) == []


def test_times_are_those_of_the_enqueue_and_checkpoints_bound_the_ids() -> None:
    old = factories.make_job(State.SUCCEEDED, enqueued_at=factories.ago(days=3))
    JobIdCheckpoint.objects.create(recorded_at=factories.ago(days=2), job_id=old.pk)
    recent = factories.make_job(State.SUCCEEDED, enqueued_at=factories.ago(minutes=5))
    newest = factories.make_job(State.SUCCEEDED)
    since, until = factories.ago(days=1).isoformat(), factories.ago(minutes=1).isoformat()
    assert found({"since": since}) == [newest.pk, recent.pk]
    assert find_jobs(read({"since": since})).lowest > old.pk
    assert found({"since": "P1D"}) == [newest.pk, recent.pk]
    assert found({"since": "PT2M", "state": "succeeded"}) == [newest.pk]
    assert found({"until": until}) == [recent.pk, old.pk]
    until = factories.ago(days=2, minutes=30).isoformat()
    assert find_jobs(read({"until": until})).highest == old.pk


def test_a_job_that_was_committed_late_is_found_within_its_time() -> None:
    until = factories.ago(days=1)
    marked = factories.make_job(State.SUCCEEDED, enqueued_at=until - timedelta(minutes=2))
    JobIdCheckpoint.objects.create(recorded_at=until, job_id=marked.pk)
    late = factories.make_job(State.SUCCEEDED, enqueued_at=until - timedelta(minutes=1))
    assert found({"until": until.isoformat()}) == [late.pk, marked.pk]


@pytest.mark.parametrize("state", ["", "dead", "ready"])
@pytest.mark.parametrize(
    ("stored", "asked", "other"),
    [
        (7, "user_id=7", "user_id=8"),
        ("7", 'user_id="7"', "user_id=7"),
        ("ada", "user_id=ada", "user_id=eda"),
        (True, "user_id=true", "user_id=1.5"),
        ([1, 2], "user_id=[1,2]", "user_id=[3]"),
        ({"$type": "uuid", "value": "0b"}, "user_id=0b", "user_id=0c"),
        ({"$type": "model", "model": "a.b", "pk": 7, "using": "x"}, "user_id=7", "user_id=8"),
        (
            {"$type": "model", "model": "a.b", "pk": {"$type": "uuid", "value": "0b"}, "using": "x"},
            "user_id=0b",
            "user_id=0c",
        ),
    ],
)
def test_an_argument_is_found_by_its_value(stored: Any, asked: str, other: str, state: str) -> None:
    job = factories.make_job(State(state or "ready"), arguments={"user_id": stored, "more": 1})
    if state == "dead":
        factories.make_letter(job)
    factories.make_job(arguments={"customer_id": stored})
    where = {"state": state} if state else {}
    assert found({"argument": asked, **where}) == [job.pk]
    assert found({"q": asked, **where}) == [job.pk]
    assert found({"argument": other, **where}) == []


@pytest.mark.parametrize("name", ["a__b", "contains", "$type", "it's", "ü%"])
def test_an_arguments_name_is_text_and_nothing_else(name: str) -> None:
    job = factories.make_job(arguments={name: 7})
    factories.make_job(arguments={"b": 7})
    assert found({"argument": f"{name}=7"}) == [job.pk]


@pytest.mark.parametrize("state", ["", "dead"])
def test_an_error_is_found_by_part_of_its_text(state: str) -> None:
    job = factories.make_job(State.DEAD)
    factories.make_attempt(job, error_class="shop.Refused", error_message="card 100% empty")
    factories.make_letter(job, error_message="no worker knew it")
    factories.make_letter(error_message="other")
    where = {"state": state} if state else {}
    assert found({"error": "100% EMPTY", **where}) == [job.pk]
    assert found({"error": "refused", **where}) == [job.pk]
    assert found({"error": "nothing", **where}) == []
    if state:
        assert found({"error": "no worker", **where}) == [job.pk]


def test_jobs_whose_arguments_refer_to_a_row_are_found_at_any_depth() -> None:
    ada, bo = Customer.objects.create(name="ada"), Customer.objects.create(name="bo")
    document = Document.objects.create(title="x")
    direct = factories.make_job(arguments={"customer": encode(ada, what="x")})
    deep = factories.make_job(arguments={"*": [{"who": [encode(ada, what="x")]}]})
    factories.make_job(arguments={"customer": encode(bo, what="x"), "n": ada.pk})
    paper = factories.make_job(arguments={"document": encode(document, what="x")})
    by_key = factories.make_job(arguments={"customer_id": ada.pk})
    assert find_jobs_of_object(ada).rows == [deep, direct]
    assert find_jobs_of_object(document).rows == [paper]
    assert find_jobs_of_object(ada, argument="customer_id").rows == [by_key, deep, direct]
    assert find_jobs_of_object(document, argument="document").rows == [paper]
    by_text = factories.make_job(arguments={"document_id": str(document.pk)})
    assert find_jobs_of_object(document, argument="document_id").rows == [by_text, paper]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"state": "odd"}, "state: expected one of blocked"),
        ({"worker": "x"}, "worker: expected an id"),
        ({"ids": "1,x"}, "ids: expected an id"),
        ({"ids": ",".join(map(str, range(1_001)))}, "at most 1000"),
        ({"since": "yesterday"}, "since: expected an instant"),
        ({"until": "P1D"}, "until: expected an instant"),
        ({"argument": "user_id"}, "argument: expected a name and a value"),
        ({"argument": "=7"}, "argument: expected a name and a value"),
    ],
)
def test_an_invalid_filter_is_refused(query: dict[str, str], said: str) -> None:
    with pytest.raises(FilterError, match=said):
        read(query)


@pytest.mark.parametrize("after", ["x", "[]", "[1]", "[1,2]", '"a"', "true", "1e3", "99999999999999999999", "{}"])
@pytest.mark.parametrize("state", ["", "ready", "scheduled", "dead"])
def test_a_cursor_that_no_page_had_is_refused(after: str, state: str) -> None:
    with pytest.raises(FilterError, match="below: expected where a page ended"):
        find_jobs(read({"state": state}), after=after)


@pytest.mark.parametrize("number", [10, 60])
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"state": "ready"},
        {"state": "dead", "name": "x"},
        {"since": "P1D", "argument": "a=1", "error": "x"},
    ],
)
def test_a_page_takes_few_statements_whatever_the_number_of_jobs(
    number: int, query: dict[str, str], django_assert_max_num_queries: Any
) -> None:
    factories.make_jobs(number)
    for _ in range(number):
        factories.make_letter()
    with django_assert_max_num_queries(7):
        find_jobs(read(query))


def test_dead_letters_without_jobs_are_ignored() -> None:
    letter = factories.make_letter()
    DeadLetter.objects.filter(pk=letter.pk).update(job=None)
    assert found({"state": "dead"}) == []
    assert DeadLetter.objects.count() == 1


def test_a_filter_reads_back_as_it_was_written() -> None:
    query = {
        "state": "dead",
        "queue": "mail",
        "name": "shop.jobs.pay",
        "worker": "7",
        "schedule": "8",
        "since": "2026-03-01T09:30:00+01:00",
        "until": "2026-03-02T09:30:00+00:00",
        "argument": "user_id=7",
        "error": "no card",
        "q": "pay",
        "ids": "1,2",
    }
    assert read(query).to_query() == query
    assert read(read({"since": "P1D"}).to_query()).since == timedelta(days=1)
    assert read({"since": "2026-03-01T09:30:00 01:00"}).to_query()["since"] == "2026-03-01T09:30:00+01:00"
    now = database_now()
    assert read({"since": "PT1H"}).frozen(now).since == now - timedelta(hours=1)
    assert read({"page": "7"}).is_empty
