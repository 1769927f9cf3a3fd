import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import partial
from types import NoneType
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.db.models.signals import post_init, pre_init
from django.db.transaction import TransactionManagementError
from django.test import override_settings

import django_jobs
from django_jobs.enqueueing import enqueue_bound
from django_jobs.exceptions import PayloadTooLargeError
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.testing import drain
from tests.concurrency import Background, elsewhere
from tests.factories import make_worker, take
from tests.sampleapp.consumed import ship
from tests.sampleapp.jobs import add, echo, named, sync

pytestmark = pytest.mark.django_db

MILLISECOND = timedelta(milliseconds=1)
"""SQLite's clock gives whole milliseconds."""


def test_an_enqueued_job_is_stored_with_what_its_definition_says():
    before = database_now() - MILLISECOND
    job = named.enqueue(7)
    after = database_now()

    stored = Job.objects.get(pk=job.pk)
    assert (stored.name, stored.queue_name, stored.priority, stored.max_attempts) == (
        "sample.named",
        "documents",
        10,
        3,
    )
    assert stored.arguments == {"value": 7}
    assert (stored.state, stored.attempt, stored.claim_number, stored.metadata) == (State.READY, 0, 0, {})
    assert before <= stored.enqueued_at <= after
    assert stored.ready_at == stored.enqueued_at
    assert (stored.run_after, stored.started_at, stored.finished_at, stored.worker_id) == (None,) * 4


def test_the_returned_job_equals_the_stored_one_in_every_column():
    for job in (
        echo.enqueue({"a": [1, "é", None]}),
        echo.using(run_after=timedelta(hours=1), metadata={"tenant": 3}, priority=-7).enqueue(),
        *echo.enqueue_many([(1,), (2,)]),
        *echo.using(run_after=timedelta(hours=1)).enqueue_many([(1,), (2,)]),
        *echo.using(run_after=datetime(2020, 1, 1, tzinfo=UTC)).enqueue_many([(1,), (2,)]),
    ):
        stored = Job.objects.get(pk=job.pk)
        for field in Job._meta.concrete_fields:
            assert getattr(job, field.attname) == getattr(stored, field.attname), field.attname


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("delay", [None, timedelta(hours=1)])
def test_each_job_of_one_enqueue_may_have_metadata_of_its_own(number, delay, monkeypatch):
    monkeypatch.setattr("django_jobs.store.enqueue.insert.ROWS_PER_STATEMENT", 2)
    wide = echo.using(metadata={"tenant": 3}, run_after=delay)
    own = [{"place": f'"{at}" \\ é', "at": {"n": at}} for at in range(number)]
    jobs = enqueue_bound(wide, [{"value": at} for at in range(number)], metadata=list(map(json.dumps, own)))
    stored = list(Job.objects.order_by("pk"))
    assert [job.metadata for job in stored] == [{"tenant": 3, **one} for one in own]
    assert [job.arguments["value"] for job in stored] == list(range(number))
    for job, found in zip(jobs, stored, strict=True):
        for field in Job._meta.concrete_fields:
            assert getattr(job, field.attname) == getattr(found, field.attname), field.attname


def test_jobs_under_limits_and_with_keys_have_metadata_of_their_own_too():
    own = [json.dumps({"at": at}) for at in range(3)]
    enqueue_bound(
        ship,
        [{"order_id": at, "customer": "ada" if at != 1 else None} for at in range(3)],
        metadata=own,
    )
    enqueue_bound(sync, [sync.signature.bind((), {"user_id": at}) for at in range(3)], metadata=own)
    for name in (ship.name, sync.name):
        found = {at: job.metadata for job in Job.objects.filter(name=name) for at in [job.metadata["at"]]}
        assert found == {at: {"at": at} for at in range(3)}
    by_order = {job.arguments["order_id"]: job.metadata["at"] for job in Job.objects.filter(name=ship.name)}
    assert by_order == {0: 0, 1: 1, 2: 2}


@pytest.mark.parametrize("signal", [pre_init, post_init])
def test_receivers_of_the_signals_of_init_are_called_for_enqueued_jobs(signal):
    seen = []

    def receiver(sender, **given):
        seen.append(sender)

    signal.connect(receiver, sender=Job)
    try:
        jobs = echo.enqueue_many([(1,), (2,)])
    finally:
        signal.disconnect(receiver, sender=Job)

    assert seen == [Job, Job]
    assert [job.arguments for job in jobs] == [{"value": 1}, {"value": 2}]
    assert all(not job._state.adding and job._state.db == "default" for job in jobs)


def test_options_of_one_enqueue_win_over_the_definition():
    job = named.using(queue_name="slow", priority=-5, max_attempts=2, metadata={"request": "x"}).enqueue(1)

    job.refresh()
    assert (job.queue_name, job.priority, job.max_attempts) == ("slow", -5, 2)
    assert job.metadata == {"request": "x"}


def test_a_job_can_be_enqueued_by_name_with_the_options_of_its_definition():
    job = django_jobs.enqueue("sample.named", value=3)

    assert (job.queue_name, job.priority, job.arguments) == ("documents", 10, {"value": 3})


def test_a_job_that_this_process_does_not_know_can_be_enqueued_by_name():
    job = django_jobs.find_job("other.service", unknown="allow").enqueue(1, key="x").refresh()

    assert (job.name, job.queue_name, job.state) == ("other.service", "default", State.READY)
    assert job.arguments == {"*": [1], "key": "x"}


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_was_never_enqueued():
    with transaction.atomic():
        echo.enqueue(1)
        echo.enqueue_many([(2,), (3,)])
        assert Job.objects.count() == 3
        transaction.set_rollback(True)

    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_job_is_seen_by_others_only_after_the_commit():
    with elsewhere(lambda: echo.enqueue(1)) as job:
        assert not Job.objects.filter(pk=job.pk).exists()

    committed = Background(lambda: echo.enqueue(2)).result()
    assert Job.objects.filter(pk=committed.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_the_error_of_a_broken_transaction_is_the_callers_and_nothing_is_enqueued():
    with transaction.atomic():
        with pytest.raises(DatabaseError), transaction.atomic(savepoint=False), connection.cursor() as cursor:
            cursor.execute("SELECT no_such_column FROM django_jobs_job")
        with pytest.raises(TransactionManagementError):
            echo.enqueue(1)

    assert not Job.objects.exists()


@pytest.mark.parametrize("run_after", [timedelta(hours=1), "instant"])
def test_a_job_for_later_is_scheduled(run_after):
    due = database_now() + timedelta(hours=1)
    job = echo.using(run_after=due if run_after == "instant" else run_after).enqueue().refresh()

    assert job.state == State.SCHEDULED
    assert job.ready_at is None
    assert abs(job.run_after - due) < timedelta(seconds=30)


def test_a_given_instant_is_kept_to_the_microsecond_whatever_its_zone():
    from zoneinfo import ZoneInfo

    due = datetime(2040, 7, 1, 12, 0, 0, 123456, tzinfo=ZoneInfo("America/New_York"))

    assert echo.using(run_after=due).enqueue().refresh().run_after == due


@pytest.mark.parametrize(
    "run_after",
    [timedelta(0), timedelta(seconds=-5), datetime(2001, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)],
)
def test_a_job_for_now_or_the_past_is_ready_now(run_after):
    before = database_now() - MILLISECOND
    job = echo.using(run_after=run_after).enqueue().refresh()

    assert job.state == State.READY
    assert job.run_after is None
    assert job.ready_at >= before


@pytest.mark.parametrize("run_after", [timedelta.max, timedelta(days=4_000_000), "last instant"])
def test_a_job_for_a_time_beyond_the_calendar_is_refused_or_waits_but_never_runs_at_once(run_after):
    if run_after == "last instant":
        run_after = datetime.max.replace(tzinfo=UTC)
    try:
        job = echo.using(run_after=run_after).enqueue()
    except django_jobs.exceptions.JobsError as error:
        assert "run_after" in str(error)  # noqa: PT017 - either way is fine, ready is not
    else:
        assert job.refresh().state == State.SCHEDULED
        assert job.run_after > database_now() + timedelta(days=365)


def test_many_jobs_come_back_in_the_order_in_which_they_were_given():
    jobs = add.enqueue_many([{"first": 1}, (2,), {"first": 3, "second": 4}])

    assert [job.arguments for job in jobs] == [{"first": 1}, {"first": 2}, {"first": 3, "second": 4}]
    assert [job.pk for job in jobs] == sorted(job.pk for job in jobs)


@pytest.mark.slow
def test_ten_thousand_jobs_are_enqueued_in_order_and_claimed_in_order():
    jobs = echo.enqueue_many([(number,) for number in range(10_000)])

    assert [job.arguments["value"] for job in jobs] == list(range(10_000))
    stored = dict(Job.objects.values_list("pk", "arguments"))
    assert len(stored) == 10_000
    assert all(stored[job.pk] == job.arguments for job in jobs)
    claims = take(make_worker(), limit=10_000)
    assert [json.loads(claim.arguments)["value"] for claim in claims] == list(range(10_000))


@pytest.mark.slow
def test_ten_thousand_jobs_take_a_handful_of_statements(django_assert_max_num_queries):
    with django_assert_max_num_queries(6):
        echo.enqueue_many([(number,) for number in range(10_000)])


def test_no_jobs_are_no_statement(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert echo.enqueue_many([]) == []


def test_one_wrong_item_among_many_enqueues_none():
    with pytest.raises(django_jobs.exceptions.ArgumentsError, match="item 2 of enqueue_many"):
        add.enqueue_many([(1,), (2,), (), (4,)])

    assert not Job.objects.exists()


def test_an_argument_of_ten_megabytes_is_refused_with_its_size_and_the_limit():
    with pytest.raises(PayloadTooLargeError) as caught:
        echo.enqueue("x" * 10_000_000)

    assert "tests.sampleapp.jobs.echo: arguments of 10000012 bytes" in str(caught.value)
    assert "DJANGO_JOBS['ENQUEUE']['MAX_PAYLOAD_BYTES'] allows 1000000" in str(caught.value)
    assert not Job.objects.exists()


@override_settings(DJANGO_JOBS={"ENQUEUE": {"MAX_PAYLOAD_BYTES": 100}})
def test_the_limit_counts_bytes_and_may_be_reached():
    fits = 100 - len('{"value":""}')
    assert echo.enqueue("x" * fits).pk
    assert echo.enqueue("é" * (fits // 2)).pk

    with pytest.raises(PayloadTooLargeError, match="arguments of 101 bytes"):
        echo.enqueue("x" * (fits + 1))
    with pytest.raises(PayloadTooLargeError, match="arguments of 102 bytes"):
        echo.enqueue("é" * (fits // 2 + 1))
    with pytest.raises(PayloadTooLargeError, match="metadata of "):
        echo.using(metadata={"x": "y" * 100}).enqueue()


def test_one_large_item_among_many_enqueues_none():
    with pytest.raises(PayloadTooLargeError):
        echo.enqueue_many([("x",), ("x" * 2_000_000,)])

    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("character", "number"),
    [("x", 20), ("😀", 20), ('"', 5), ("\\", 5)],
    ids=["plain", "emoji", "quote", "backslash"],
)
def test_many_large_arguments_are_inserted_whatever_their_characters_need_in_a_statement(character, number):
    length = 900_000 // len(json.dumps(character, ensure_ascii=False)[1:-1].encode())

    jobs = echo.enqueue_many([(character * length,)] * number)

    assert Job.objects.count() == len(jobs) == number
    assert jobs[-1].refresh().arguments == {"value": character * length}


def test_large_metadata_of_many_jobs_is_inserted_whatever_the_arguments_need_in_a_statement():
    metadata = {"note": "x" * 900_000}

    jobs = echo.using(metadata=metadata).enqueue_many([('"' * 110_000,)] * 19)

    assert Job.objects.count() == 19
    assert jobs[-1].refresh().metadata == metadata


@override_settings(DJANGO_JOBS={"ENQUEUE": {"MAX_PAYLOAD_BYTES": 20_000_000}})
def test_a_large_argument_is_carried_where_the_setting_allows_it():
    job = echo.enqueue("x" * 10_000_000)

    assert len(job.refresh().arguments["value"]) == 10_000_000


def test_a_job_is_enqueued_from_asynchronous_code():
    async def view():
        one = await echo.aenqueue(1)
        many = await named.using(priority=3).aenqueue_many([(2,), {"value": 3}])
        by_name = await django_jobs.aenqueue("sample.named", value=4)
        number = await echo.aenqueue_stream((value,) for value in (5, 6))
        return [one, *many, by_name], number

    jobs, number = async_to_sync(view)()

    assert number == 2
    assert sorted(job.arguments["value"] for job in Job.objects.all()) == [1, 2, 3, 4, 5, 6]
    assert [job.refresh().arguments["value"] for job in jobs] == [1, 2, 3, 4]
    assert [job.priority for job in jobs] == [0, 3, 3, 10]


class Status(str, Enum):  # noqa: UP042 - the kind whose str() is its name
    PAID = "paid"


HARD_VALUES = [
    {Status.PAID: Status.PAID, "$type": "model", "": [], "a.b": None, "$.x": {"'": '"'}},
    ["a\0b", "\ud800", "\ud83d\ude00", "é😀", "\\u0000", "\x7f\u2028"],
    [2**63 - 1, 2**63, -(2**70), 10**4000, 0, -0.0, 0.1, 1e300, 5e-324, 9999999999999998.0, 1e16, 1.0],
    [
        Decimal("1.10"),
        Decimal("Infinity"),
        b"\0\xff",
        UUID(int=1),
        timedelta.max,
        date.min,
        time(1, 2, 3, 4, tzinfo=UTC),
    ],
    [datetime.max, datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=-1)))],  # noqa: DTZ901 - naive ones are carried
]


def test_a_hard_value_comes_back_from_the_database_as_it_went():
    jobs = [*map(echo.enqueue, HARD_VALUES), *echo.enqueue_many([(value,) for value in HARD_VALUES])]
    drain()

    read = [Job.objects.get(pk=job.pk).result for job in jobs]
    one_by_one, together = read[: len(HARD_VALUES)], read[len(HARD_VALUES) :]
    assert one_by_one == together == HARD_VALUES
    assert repr(one_by_one[1:]) == repr(together[1:]) == repr(HARD_VALUES[1:])
    assert {type(part) for item in read[0].items() for part in item} == {str, list, NoneType, dict}


def _read_and_enqueue(value, *, between=lambda: None):
    with transaction.atomic():
        Job.objects.count()
        between()
        echo.enqueue(value)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="other databases lock rows")
@pytest.mark.django_db(transaction=True)
def test_on_sqlite_a_request_that_reads_and_enqueues_needs_transactions_that_begin_immediate(monkeypatch):
    """The system check W004 names the cure; this shows that there is an illness, and that it is one."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode = WAL")  # as a worker does
    with pytest.raises(OperationalError, match="locked"):
        _read_and_enqueue(1, between=lambda: Background(lambda: echo.enqueue(2)).result())

    monkeypatch.setitem(connections["default"].settings_dict["OPTIONS"], "transaction_mode", "IMMEDIATE")
    requests = [partial(Background, partial(_read_and_enqueue, number)) for number in range(8)]
    for running in [start() for start in requests]:
        running.result()
    assert Job.objects.count() == 1 + 8
