"""Once: the block's writes and the record that it was done are there together, and one time only."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F

from django_jobs import once
from django_jobs.exceptions import OnceError, PayloadTooLargeError, SerializationError
from django_jobs.models import Job, OnceRecord
from django_jobs.once import Once
from django_jobs.policy.states import State
from django_jobs.store.enqueue.prune_keys import prune_once
from django_jobs.store.lifecycle.replay import replay
from django_jobs.testing import drain
from tests.concurrency import DEADLINE_SECONDS, Background, run_together
from tests.crashing import crash_at_every_point
from tests.databases import ROOT
from tests.factories import ago
from tests.lock_waits import number_of, wait_for_waiters
from tests.sampleapp.jobs import count_visit_by_key
from tests.sampleapp.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)

needs_row_locks = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")


def count(customer: Customer, key: str = "k") -> Once:
    """Add one to the customer's visits, once."""
    with once("count", customer.pk, key) as first:
        if first:
            Customer.objects.filter(pk=customer.pk).update(visits=F("visits") + 1)
    return first


def fail(customer: Customer) -> None:
    """Write in a block, and raise."""
    with once("count", customer.pk, "k"):
        Customer.objects.filter(pk=customer.pk).update(visits=99)
        raise ZeroDivisionError


def visits(customer: Customer) -> int:
    customer.refresh_from_db()
    return int(customer.visits)


@pytest.fixture
def customer() -> Customer:
    return Customer.objects.create(name="Ada")


def test_the_second_time_is_not_the_first(customer: Customer) -> None:
    assert [bool(count(customer)) for _ in range(3)] == [True, False, False]
    assert visits(customer) == 1
    assert count(customer, "another")
    assert OnceRecord.objects.count() == 2
    assert OnceRecord.objects.get(key=f'"count",{customer.pk},"k"').job_id is None


def test_what_the_first_stored_is_given_to_the_second() -> None:
    with once("charge", 3) as first:
        assert first.stored is None
        first.store({"receipt": Decimal("12.50")})
        assert first.stored == {"receipt": Decimal("12.50")}
    with once("charge", 3) as second:
        assert not second
        assert second.stored == {"receipt": Decimal("12.50")}
    assert repr(second) == '<once("charge",3): done before>'
    assert repr(first) == '<once("charge",3): first>'


def test_only_the_first_stores_and_only_within_its_block() -> None:
    with once("charge", 3) as first:
        first.store(1)
    with pytest.raises(OnceError, match="the block has ended"):
        first.store(2)
    with once("charge", 3) as second, pytest.raises(OnceError, match="only the first may store"):
        second.store(2)
    assert second.stored == 1


def test_what_cannot_be_stored_fails_the_block_and_leaves_no_record(settings: Any) -> None:
    with pytest.raises(SerializationError, match="the stored value"), once("charge", 3) as first:
        first.store(object())
    settings.DJANGO_JOBS = {"RESULTS": {"MAX_BYTES": 10}}
    with pytest.raises(PayloadTooLargeError, match=r"\['MAX_BYTES'\]"), once("charge", 3) as first:
        first.store("x" * 20)
    assert not OnceRecord.objects.exists()


def test_a_block_that_raises_is_not_recorded_and_leaves_nothing(customer: Customer) -> None:
    with pytest.raises(ZeroDivisionError):
        fail(customer)
    assert visits(customer) == 0
    assert count(customer)


def test_inside_a_transaction_the_block_is_a_savepoint(customer: Customer) -> None:
    with transaction.atomic():
        Customer.objects.filter(pk=customer.pk).update(name="Grace")
        with pytest.raises(ZeroDivisionError):
            fail(customer)
    assert (visits(customer), customer.name) == (0, "Grace")
    with transaction.atomic():
        assert count(customer)
        assert not count(customer)
        transaction.set_rollback(True)
    assert count(customer)


def test_over_all_attempts_duplicates_and_copies_of_a_job_the_work_is_done_once(customer: Customer) -> None:
    one, two = (count_visit_by_key.enqueue(customer.pk, "monday") for _ in range(2))
    other = count_visit_by_key.enqueue(customer.pk, "tuesday")
    drain()
    Job.objects.filter(pk=one.pk).update(state=State.READY, attempt=0)
    [copy] = replay(one)
    drain()

    assert visits(customer) == 2
    results = dict(Job.objects.values_list("pk", "result_data"))
    assert results == {one.pk: 1, two.pk: 1, other.pk: 2, copy: 1}
    assert OnceRecord.objects.get(key__contains="monday").job_id == one.pk


def test_two_at_the_same_instant_are_done_once_and_both_know_what_was_stored() -> None:
    def charge(receipt: int) -> tuple[bool, int]:
        with once("charge", 3) as first:
            if first:
                first.store(receipt)
        return bool(first), first.stored

    for _ in range(5):
        OnceRecord.objects.all().delete()
        answers = run_together(*[lambda receipt=receipt: charge(receipt) for receipt in range(4)])
        assert sorted(first for first, _ in answers) == [False, False, False, True]
        assert len({stored for _, stored in answers}) == 1


@needs_row_locks
@pytest.mark.parametrize("commits", [True, False])
def test_the_second_waits_for_the_first_and_is_the_first_where_that_fails(customer: Customer, commits: bool) -> None:
    begun: SimpleQueue[int] = SimpleQueue()
    let_go = threading.Event()

    def first() -> None:
        with once("count", customer.pk, "k"):
            Customer.objects.filter(pk=customer.pk).update(visits=F("visits") + 1)
            begun.put(number_of(connection))
            assert let_go.wait(DEADLINE_SECONDS)
            if not commits:
                raise ZeroDivisionError

    running = Background(first)
    number = begun.get(timeout=DEADLINE_SECONDS)
    waiting = [Background(lambda: count(customer)) for _ in range(2)]
    wait_for_waiters(number, 2)
    let_go.set()
    answers = sorted(bool(block.result()) for block in waiting)
    if commits:
        running.result()
        assert answers == [False, False]
    else:
        with pytest.raises(ZeroDivisionError):
            running.result()
        assert answers == [False, True]
    assert visits(customer) == 1


@pytest.mark.slow
def test_a_kill_at_any_moment_between_the_block_and_its_commit_leaves_both_or_neither(
    customer: Customer,
) -> None:
    def prepare() -> None:
        OnceRecord.objects.all().delete()
        Customer.objects.update(visits=0)

    points = 0
    for _ in crash_at_every_point(prepare, lambda _: count(customer)):
        assert visits(customer) == OnceRecord.objects.count()
        count(customer)
        assert visits(customer) == OnceRecord.objects.count() == 1
        points += 1
    assert points >= 3


def test_under_repeatable_read_mysql_gives_what_its_snapshot_lacks() -> None:
    if connection.vendor != "mysql":
        pytest.skip("elsewhere writing fails where a snapshot is older")
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    connection.isolation_level = None

    def charge() -> Once:
        with once("charge", 3) as first:
            if first:
                first.store(7)
        return first

    try:
        with transaction.atomic():
            assert not OnceRecord.objects.exists()
            assert Background(charge).result()
            second = charge()
        assert not second
        assert second.stored == 7
    finally:
        connection.close()


TWO_DATABASES = """
import django
from django.conf import settings
from django.core.management import call_command
from django.db import connections

database = {"ENGINE": "django.db.backends.sqlite3"}
settings.configure(
    INSTALLED_APPS=["django_jobs"], USE_TZ=True,
    DATABASES={name: database | {"NAME": f"{name}.sqlite3"} for name in ("default", "other")},
)
django.setup()
call_command("migrate", verbosity=0)
from django_jobs import once
from django_jobs.exceptions import OnceError
from django_jobs.models import OnceRecord, Queue

def run(statement):
    with connections["other"].cursor() as cursor:
        return cursor.execute(statement).fetchall()

run("CREATE TABLE log (line text)")
try:
    with once("charge", 3):
        Queue.objects.create(name="mail")
        run("SELECT * FROM log")
        run(" insert INTO log VALUES ('in the block')")
except OnceError as error:
    print(error)
assert not OnceRecord.objects.exists() and not Queue.objects.exists()
for turn in range(2):
    with once("charge", 3) as first:
        if not first:
            run("INSERT INTO log VALUES ('another did it')")
    run("INSERT INTO log VALUES ('after the block')")
print(len(run("SELECT * FROM log")))
"""


@pytest.mark.slow
def test_a_write_to_another_database_is_refused_in_the_first_ones_block(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", TWO_DATABASES],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    error, number = done.stdout.splitlines()
    assert error == (
        "once(\"charge\",3): the block writes to the database 'other', and its record is in 'default'"
        " (DJANGO_JOBS['DATABASE']): a crash between the two commits would lose one of them. Write there outside"
        " of the block"
    )
    assert number == "3"


def test_in_asynchronous_code_it_is_refused_with_what_to_do_instead() -> None:
    async def plainly() -> None:
        with once("charge", 3):
            raise AssertionError("the block must not run")

    async def with_async() -> None:
        async with once("charge", 3):
            raise AssertionError("the block must not run")

    for work in (plainly, with_async):
        with pytest.raises(OnceError, match="await sync_to_async"):
            asyncio.run(work())


def test_a_key_needs_a_part_that_can_be_carried() -> None:
    with pytest.raises(OnceError, match="expected a key of one part or more"):
        once()
    with pytest.raises(SerializationError, match="part 2 of the key"), once("charge", object()):
        pass
    with pytest.raises(OnceError, match="without having been entered"):
        once("charge").__exit__(None, None, None)


def test_records_are_pruned_after_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        with once("charge", number):
            pass
    OnceRecord.objects.filter(key__endswith="3").update(recorded_at=ago(days=90, hours=1))
    monkeypatch.setattr("django_jobs.store.enqueue.prune_keys.WINDOW", 2)

    assert prune_once(None) == 0
    assert prune_once(timedelta(days=90)) == 1
    assert prune_once(timedelta(microseconds=1)) == 4
    with once("charge", 3) as first:
        assert first
