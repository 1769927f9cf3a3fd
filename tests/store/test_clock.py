import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from django_jobs.models import Worker
from django_jobs.store.clock import DatabaseClock, DatabaseNow, database_now
from tests.factories import make_worker

pytestmark = pytest.mark.django_db
MILLISECOND = timedelta(milliseconds=1)


def stamped(offset=timedelta(0)):
    worker = make_worker()
    Worker.objects.update(heartbeat_at=DatabaseNow(offset))
    worker.refresh_from_db()
    return worker.heartbeat_at


def test_the_databases_time_is_aware_and_the_same_instant_as_here():
    """The servers of the tests run on this machine, so a wrong time zone would show."""
    assert database_now().utcoffset() == timedelta(0)
    assert abs(database_now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_expression_writes_the_same_time_as_the_value():
    before = database_now() - MILLISECOND
    written = stamped()

    assert before <= written <= database_now()


@pytest.mark.parametrize(
    "offset", [timedelta(seconds=-15), timedelta(hours=5, microseconds=2_000), timedelta(days=-400)]
)
def test_the_expression_takes_an_offset(offset):
    before = database_now() + offset - MILLISECOND

    assert before <= stamped(offset) <= database_now() + offset


def test_the_expression_can_be_compared_in_a_filter():
    make_worker(heartbeat_at=database_now() - timedelta(seconds=20))

    assert Worker.objects.filter(heartbeat_at__lt=DatabaseNow(timedelta(seconds=-15))).exists()
    assert not Worker.objects.filter(heartbeat_at__lt=DatabaseNow(timedelta(seconds=-25))).exists()


def test_time_goes_on_within_a_transaction():
    with transaction.atomic():
        first = database_now()
        deadline = first + timedelta(minutes=1)
        while (second := database_now()) == first:
            assert datetime.now(UTC) < deadline
        assert second > first
        assert stamped() >= second - MILLISECOND


def test_a_session_in_another_time_zone_stamps_the_same_instants():
    if connection.vendor != "mysql":
        pytest.skip("Django sets the session's time zone on PostgreSQL, and SQLite has none")
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+09:00'")
        try:
            assert abs(stamped() - datetime.now(UTC)) < timedelta(minutes=1)
            assert abs(database_now() - datetime.now(UTC)) < timedelta(minutes=1)
        finally:
            cursor.execute("SET time_zone = 'SYSTEM'")


def test_a_clock_follows_what_the_database_said_last():
    clock = DatabaseClock()
    clock.set(datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC))

    now = clock.now()

    assert timedelta(0) <= now - datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC) < timedelta(seconds=20)
    assert now.timestamp() <= clock.seconds()
    assert clock.now() >= now


def test_an_answer_that_took_long_does_not_put_the_clock_back():
    clock = DatabaseClock()
    known = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    clock.set(known)
    began = time.monotonic()

    clock.set(known, asked_at=began - 8)
    assert clock.now() >= known, "the server may have answered at the start of these eight seconds"

    clock.set(known + timedelta(seconds=30), asked_at=began - 8)
    assert clock.now() >= known + timedelta(seconds=30), "it is later than the clock knew"

    clock.set(known, asked_at=time.monotonic() - 8)
    assert known + timedelta(seconds=7) <= clock.now() < known + timedelta(seconds=20), "it is earlier"


def test_a_clock_that_was_never_set_shows_the_hosts_time():
    assert abs(DatabaseClock().now() - datetime.now(UTC)) < timedelta(minutes=1)
