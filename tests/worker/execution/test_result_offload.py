"""Results that are larger than the database takes: written before the finish, read by everybody, never left behind."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from django_jobs import chain
from django_jobs.exceptions import ResultUnreadableError
from django_jobs.models import DeadLetter, Job, ResultRetention
from django_jobs.store.lifecycle.replay import replay
from django_jobs.testing import drain
from django_jobs.workflows import RESULT
from tests.results import LARGE, files, storing
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("echo", [sample.echo, sample.echo_async, sample.echo_atomic])
def test_a_large_result_goes_to_a_file_and_is_read_from_there(tmp_path: Path, echo) -> None:  # type: ignore[no-untyped-def]
    with storing(tmp_path):
        job = echo.enqueue(LARGE)
        assert drain().succeeded == 1
        (file,) = files(tmp_path)
        assert re.fullmatch(rf"{job.pk}-[0-9a-f]{{32}}\.json", file.name)
        assert job.refresh().result == LARGE
        assert not job.is_result_lost
        assert job.result_file is not None
        assert job.result_file.bytes == file.stat().st_size == len(LARGE) + 2
        assert LARGE not in str(job.result_data)
        assert ResultRetention.objects.get().expires_at is None


def test_a_small_result_stays_in_the_row(tmp_path: Path) -> None:
    with storing(tmp_path):
        job = sample.echo.enqueue("small")
        drain()
        assert (job.refresh().result, job.result_data, job.result_file) == ("small", "small", None)
        assert (files(tmp_path), ResultRetention.objects.count()) == ([], 0)


def test_the_option_of_a_job_overrides_the_setting(tmp_path: Path) -> None:
    with storing(tmp_path, TTL=timedelta(days=30)):
        own, default, none = sample.echo_for_an_hour.enqueue(1), sample.echo.enqueue(1), sample.echo.enqueue()
        drain()
        until = {row.job_id: row.expires_at for row in ResultRetention.objects.all()}
        assert until.keys() == {own.pk, default.pk}, "nothing is returned, nothing expires"
        assert timedelta(days=29) < until[default.pk] - until[own.pk] < timedelta(days=30)  # type: ignore[operator]
    assert none.refresh().result is None


def test_large_results_are_passed_on_and_copied(tmp_path: Path) -> None:
    with storing(tmp_path):
        _, last = chain(sample.echo.s(LARGE), sample.echo.s()).enqueue()
        drain()
        assert last.refresh().result == LARGE
        copy = Job.objects.get(pk=replay(last)[0])
        assert copy.arguments == {"value": LARGE}


def test_a_passed_result_whose_file_is_gone_makes_a_dead_letter_that_says_so(tmp_path: Path) -> None:
    with storing(tmp_path):
        first = sample.echo.enqueue(LARGE)
        drain()
        for file in files(tmp_path):
            file.unlink()
        last = sample.echo.after(first).enqueue(RESULT)
        drain()
        assert last.refresh().state == "dead"
        assert "it is gone" in DeadLetter.objects.get().error_message
        with pytest.raises(ResultUnreadableError, match="it is gone"):
            _ = first.refresh().result


def test_if_the_storage_is_down_a_passed_result_is_retried(tmp_path: Path) -> None:
    with storing(tmp_path):
        first = sample.echo.enqueue(LARGE)
        drain()
        Job.objects.filter(pk=first.pk).update(result_data=first.refresh().result_data | {"storage": "broken"})
        last = sample.echo.after(first).enqueue(RESULT)
        drain()
        assert last.refresh().state == "scheduled"
        assert "the storage is down" in (last.error or "")


@pytest.mark.parametrize("echo", [sample.echo, sample.echo_async, sample.echo_atomic])
def test_if_the_storage_fails_the_job_has_succeeded_and_its_result_is_lost(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    echo,  # type: ignore[no-untyped-def]
) -> None:
    with storing(tmp_path, STORAGE="broken"):
        job = echo.enqueue(LARGE)
        drain()
    assert (job.refresh().state, job.attempt, job.result, job.is_result_lost) == ("succeeded", 1, None, True)
    assert "could not be written to STORAGES['broken'] and is lost" in caplog.text
    assert "the storage is down" in caplog.text
    assert not ResultRetention.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_fails_deletes_its_file(tmp_path: Path) -> None:
    ada = Customer.objects.create(name="Ada")
    with storing(tmp_path):
        job = sample.break_transaction.enqueue(ada.pk, LARGE)
        drain()
    assert job.refresh().state == "scheduled"
    assert files(tmp_path) == []
