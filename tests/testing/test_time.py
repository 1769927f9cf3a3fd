"""Due is what ``timezone.now()`` says, whoever has moved it, or ``until``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
import time_machine
from django.db import connection
from django.db.models import functions
from django.test import TestCase
from django.utils import timezone
from freezegun import freeze_time

from django_jobs import current_job, job
from django_jobs.limits import RateLimit
from django_jobs.models import Job
from django_jobs.store.clock import database_now
from django_jobs.testing import adrain, drain, drained
from django_jobs.testing.clock import MovableClock
from tests.sampleapp import jobs as sample

HOUR = timedelta(hours=1)
THEN = datetime(2031, 5, 6, 7, 8, 9, 123_456, tzinfo=UTC)
Travel = Callable[[datetime], AbstractContextManager[object]]


@contextmanager
def _patched(instant: datetime) -> Iterator[None]:
    with mock.patch("django.utils.timezone.now", return_value=instant):
        yield


TRAVELS: dict[str, Travel] = {
    "time-machine": lambda instant: time_machine.travel(instant, tick=False),
    "freezegun": freeze_time,
    "a patch": _patched,
}


@job(name="time.flaky", backoff=1800, max_attempts=5)
def flaky() -> int:
    if current_job().attempt < 3:
        raise LookupError(current_job().attempt)
    return current_job().attempt


@job(name="time.reminding")
def reminding(times: int) -> None:
    if times:
        reminding.using(run_after=HOUR).enqueue(times - 1)


@job(name="time.rated", rate_limit=RateLimit(1, per=60))
def rated(number: int) -> int:
    return number


@pytest.mark.django_db
@pytest.mark.parametrize("travel", TRAVELS.values(), ids=TRAVELS)
class TestMovedTime:
    """Time that a library has moved is the engine's."""

    def test_a_delay_is_counted_in_it(self, travel: Travel) -> None:
        with travel(THEN):
            job = sample.add.using(run_after=HOUR).enqueue(1)
            at_an_instant = sample.add.using(run_after=timezone.now() + HOUR).enqueue(2)
            assert drain().job_ids == []
        with travel(THEN + HOUR - timedelta(seconds=1)):
            assert drain().job_ids == []
        with travel(THEN + HOUR):
            assert set(drain().job_ids) == {job.pk, at_an_instant.pk}
        job = job.refresh()
        assert job.enqueued_at - THEN < timedelta(milliseconds=1)
        assert job.finished_at is not None
        assert timedelta(0) <= job.finished_at - THEN - HOUR < timedelta(seconds=1)

    def test_it_may_have_stopped_at_the_present(self, travel: Travel) -> None:
        now = timezone.now()
        with travel(now):
            job, retried = sample.add.using(run_after=HOUR).enqueue(1), flaky.enqueue()
            assert drain().retried == 1
        with travel(now + HOUR / 2):
            assert drain().job_ids == [retried.pk]
        with travel(now + HOUR):
            assert set(drain().job_ids) == {job.pk, retried.pk}


class TestMovedTimeInATestCase(TestCase):
    """Time is moved for the engine's statements alone, and only while it differs."""

    def test_what_was_enqueued_before_falls_due(self) -> None:
        job = sample.add.using(run_after=HOUR).enqueue(1)
        retried = flaky.enqueue()
        assert drain().retried == 1
        with time_machine.travel(timezone.now() + HOUR, tick=False):
            assert set(drain().job_ids) == {retried.pk, job.pk}
            assert drain().job_ids == []  # the retry is due half an hour later

    def test_the_past_is_time_too(self) -> None:
        with time_machine.travel("2020-02-02 02:02Z", tick=False):
            later = sample.add.using(run_after=timezone.now() + HOUR).enqueue(1)
            assert drain().job_ids == []
            assert later.enqueued_at == timezone.now()
        assert drain().job_ids == [later.pk]

    def test_what_has_expired_is_not_run(self) -> None:
        job = sample.add.using(expires_at=HOUR).enqueue(1)
        with time_machine.travel(timezone.now() + 2 * HOUR):
            drain()
        assert job.refresh().state == "cancelled"

    def test_the_databases_clock_is_the_projects_and_real(self) -> None:
        real = database_now()
        with time_machine.travel(THEN, tick=False):
            assert database_now() - THEN < timedelta(milliseconds=1)
            sample.add.enqueue(1)
            drain()
        assert abs(database_now() - real) < timedelta(seconds=30)
        if connection.vendor != "sqlite":  # where Django reads Python's clock
            with time_machine.travel(THEN, tick=False), connection.cursor() as cursor:
                cursor.execute("SELECT CURRENT_TIMESTAMP")
                assert cursor.fetchone()[0].year < THEN.year
                assert functions.Now() is not None

    def test_statements_are_as_they_were_while_time_is_real(self) -> None:
        [clock] = [wrapper for wrapper in connection.execute_wrappers if isinstance(wrapper, MovableClock)]
        seen: list[str] = []
        statement = f"SELECT 1 /* django_jobs_ {clock._clock.reading} */"
        clock(lambda sql, *_: seen.append(sql), statement, None, False, {})
        with time_machine.travel(THEN):
            clock(lambda sql, *_: seen.append(sql), statement, None, False, {})
        assert seen[0] == statement
        assert "2031-05-06 07:08:09" in seen[1]

    async def test_in_an_async_test(self) -> None:
        with time_machine.travel(THEN, tick=False) as traveller:
            await sample.echo_async.using(run_after=HOUR).aenqueue("async")
            assert (await adrain()).job_ids == []
            traveller.shift(HOUR)
            assert (await adrain()).succeeded == 1


class TestUntil(TestCase):
    """``until`` runs what falls due by then, as if the time passed."""

    def test_jobs_and_retries_run_in_the_order_of_their_times(self) -> None:
        start = timezone.now()
        late, early = (sample.add.using(run_after=hours * HOUR).enqueue(1) for hours in (3, 0.75))
        retried, beyond = flaky.enqueue(), sample.add.using(run_after=5 * HOUR).enqueue(1)
        result = drain(until=4 * HOUR)
        assert result.job_ids == [retried.pk, retried.pk, early.pk, retried.pk, late.pk]
        assert (result.succeeded, result.retried, retried.refresh().result) == (3, 2, 3)
        finished = [job.refresh().finished_at for job in (early, retried, late)]
        assert [round((at - start) / HOUR, 1) for at in finished if at] == [0.8, 1.0, 3.0]
        assert beyond.refresh().state == "scheduled"
        assert drain(until=start + 4.5 * HOUR).job_ids == []
        assert drain(until=5 * HOUR).job_ids == [beyond.pk]

    def test_delays_count_from_the_time_of_the_run(self) -> None:
        reminding.enqueue(5)
        with drained(until=2.5 * 3600) as result:
            pass
        assert result.succeeded == 3
        [last] = Job.objects.filter(state="scheduled")
        assert last.run_after is not None
        assert abs(last.run_after - timezone.now() - 3 * HOUR) < timedelta(minutes=1)

    def test_limits_admit_as_the_time_passes(self) -> None:
        jobs = [rated.enqueue(number) for number in range(3)]
        assert drain().succeeded == 1
        assert drain(until=90).succeeded == 1
        assert drain(until=600).succeeded == 1
        assert [job.refresh().result for job in jobs] == [0, 1, 2]

    def test_other_queues_are_left_alone(self) -> None:
        other, own = (sample.add.using(run_after=HOUR, queue_name=name).enqueue(1) for name in ("other", "own"))
        assert drain(until=2 * HOUR, queues=["own"]).job_ids == [own.pk]
        assert other.refresh().finished_at is None

    def test_it_counts_from_moved_time(self) -> None:
        with time_machine.travel(THEN, tick=False):
            job = sample.add.using(run_after=HOUR).enqueue(1)
            assert drain(until=THEN + 59 * timedelta(minutes=1)).job_ids == []
            assert drain(until=HOUR).job_ids == [job.pk]
            assert timezone.now() == THEN

    def test_wrong_values_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"drain\(until\): expected an aware datetime"):
            drain(until=datetime(2030, 1, 1))  # noqa: DTZ001 - that is the point
        with pytest.raises(ValueError, match=r"drain\(until\): expected a timedelta or seconds"):
            drain(until=-1)
        with pytest.raises(ValueError, match=r"expected run_scheduled or until, got both"):
            drain(until=1, run_scheduled=True)
