"""Built-in jobs: every row that matches a filter is processed once, in steps, and the job can be cancelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from django_jobs import bulk_steps
from django_jobs.builtin_jobs import purge_matching, redrive_matching, resolve_matching, retry_jobs_matching
from django_jobs.models import DeadLetter, Job
from django_jobs.policy.dead_letter_filter import DeadLetterFilter
from django_jobs.policy.states import State
from django_jobs.store.bulk import take_step
from django_jobs.store.clock import DatabaseNow
from django_jobs.store.dead_letters import search
from django_jobs.store.dead_letters.search import (
    count_open_dead_letters,
    iter_dead_letter_ids,
    newest_dead_letter_ids,
    open_dead_letters,
)
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.testing import drain
from tests import factories
from tests.factories import ago

pytestmark = pytest.mark.django_db(transaction=True)

GROUP = "a" * 32


def _letters(number: int, **fields: Any) -> list[DeadLetter]:
    return [factories.make_letter(fingerprint=GROUP, **fields) for _ in range(number)]


def _ready() -> int:
    return Job.objects.filter(name="sample", state=State.READY).count()


def test_every_open_dead_letter_of_the_filter_is_redriven_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "IDS_PER_STEP", 2)
    _letters(5)
    other = factories.make_letter(fingerprint="b" * 32)
    job = redrive_matching.enqueue({"fingerprint": GROUP}, by="ada", total=5)
    _run(job)
    assert job.refresh().result == {"done": 5}
    assert (job.progress_done, job.progress_total) == (5, 5)
    assert set(DeadLetter.objects.filter(fingerprint=GROUP).values_list("status", "resolved_by")) == {
        ("redriven", "ada")
    }
    other.refresh_from_db()
    assert other.status == "open"


def test_dead_letters_newer_than_the_request_are_left_alone() -> None:
    (first,) = _letters(1)
    job = redrive_matching.enqueue(DeadLetterFilter(fingerprint=GROUP, up_to_id=first.pk).as_json())
    (later,) = _letters(1)
    _run(job)
    later.refresh_from_db()
    assert later.status == "open"
    assert job.refresh().result == {"done": 1}


def test_a_few_are_named_by_their_ids() -> None:
    letters = _letters(4)
    ids = newest_dead_letter_ids(DeadLetterFilter(fingerprint=GROUP), 2)
    assert ids == [letters[3].pk, letters[2].pk]
    _run(redrive_matching.enqueue(DeadLetterFilter(ids=tuple(ids)).as_json()))
    assert DeadLetter.objects.filter(status="redriven").count() == 2


def test_a_run_that_another_is_ahead_of_goes_on_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "IDS_PER_STEP", 2)
    _letters(5)
    job = redrive_matching.enqueue({"fingerprint": GROUP}, total=5)

    def overtaken(job_id: int, work: Callable[[], int], **places: Any) -> int | None:
        """Do the step twice: by a run that was marked lost and still lives, and by this one."""
        assert take_step(job_id, work, **places) == 2
        return take_step(job_id, work, **places)

    with monkeypatch.context() as patch:
        patch.setattr(bulk_steps, "take_step", overtaken)
        _run(job)
    assert (job.refresh().state, job.attempt, _ready()) == ("scheduled", 0, 2)
    _run(job)
    assert (job.refresh().state, job.result, _ready()) == ("succeeded", {"done": 5}, 5)


def test_with_a_rate_a_run_does_one_step_and_snoozes_without_using_up_an_attempt() -> None:
    _letters(5)
    job = redrive_matching.enqueue({"fingerprint": GROUP}, per_second=2)
    _run(job)
    assert _ready() == 2
    assert (job.refresh().state, job.attempt) == ("scheduled", 0)
    for _ in range(3):
        _run(job)
    assert (job.refresh().state, _ready()) == ("succeeded", 5)
    assert job.result == {"done": 5}


def test_a_job_that_fails_again_is_retried_once_by_a_bulk_job() -> None:
    """Scheduled jobs are read by their time: what fails meanwhile is due later, and comes again behind the position."""
    jobs = [factories.make_job(State.SCHEDULED, run_after=ago(minutes=-minute)) for minute in (1, 2, 3)]
    bulk = retry_jobs_matching.enqueue({"state": "scheduled"}, per_second=1)
    _run(bulk)
    assert [job.refresh().state for job in jobs] == ["ready", "scheduled", "scheduled"]
    Job.objects.filter(pk=jobs[0].pk).update(
        state=State.SCHEDULED, started_at=DatabaseNow(), run_after=ago(minutes=-10), ready_at=None, attempt=1
    )
    for _ in range(4):
        _run(bulk)
    assert [job.refresh().state for job in jobs] == ["scheduled", "ready", "ready"]
    assert bulk.refresh().result == {"done": 3}


def test_a_bulk_job_between_two_steps_can_be_stopped() -> None:
    _letters(5)
    job = redrive_matching.enqueue({"fingerprint": GROUP}, per_second=2)
    _run(job)
    assert sum(cancel(job)) == 1
    assert job.refresh().state == "cancelled"
    assert DeadLetter.objects.filter(status="open").count() == 3


def test_purged_dead_letters_lose_their_jobs_and_resolved_ones_keep_them() -> None:
    _letters(2)
    factories.make_letter(fingerprint="b" * 32)
    _run(purge_matching.enqueue({"fingerprint": GROUP}, by="ada"))
    _run(resolve_matching.enqueue({"fingerprint": "b" * 32}, by="bob", note="mended"))
    assert list(DeadLetter.objects.order_by("pk").values_list("status", "job__state", "note")) == [
        ("purged", None, ""),
        ("purged", None, ""),
        ("resolved", "dead", "mended"),
    ]


def test_a_filter_by_error_text_searches_class_and_message() -> None:
    factories.make_letter(error_class="shop.NoCard")
    factories.make_letter(error_message="the card was refused")
    factories.make_letter()
    assert open_dead_letters(DeadLetterFilter(error="CARD")).count() == 2


def test_a_rare_match_is_found_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "IDS_PER_STEP", 1)
    monkeypatch.setattr(search, "SCAN_FACTOR", 2)
    (first,) = _letters(1)
    for _ in range(5):
        factories.make_letter(fingerprint="b" * 32)
    (last,) = _letters(1)
    found = [ids for ids, _ in iter_dead_letter_ids(DeadLetterFilter(fingerprint=GROUP))]
    assert [pk for ids in found for pk in ids] == [first.pk, last.pk]
    assert max(map(len, found)) == 1


def test_a_count_is_bounded_and_marked_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MAX_COUNTED", 3)
    _letters(3)
    assert (
        count_open_dead_letters(DeadLetterFilter()).number,
        count_open_dead_letters(DeadLetterFilter()).is_more,
    ) == (3, False)
    _letters(1)
    assert (
        count_open_dead_letters(DeadLetterFilter()).number,
        count_open_dead_letters(DeadLetterFilter()).is_more,
    ) == (3, True)


def test_a_filter_goes_into_arguments_and_addresses_and_comes_back() -> None:
    wanted = DeadLetterFilter(fingerprint=GROUP, error="no card", up_to_id=7, ids=(1, 2))
    assert DeadLetterFilter.from_json(wanted.as_json()) == wanted
    of_a_time = DeadLetterFilter(since=ago(hours=2), until=ago(hours=1))
    assert DeadLetterFilter.from_json(of_a_time.as_json()) == of_a_time
    assert DeadLetterFilter.from_query(of_a_time.to_query()) == of_a_time
    assert DeadLetterFilter.from_query({"since": "PT2H"}).frozen(ago(hours=1)).since == pytest.approx(
        ago(hours=3), abs=timedelta(minutes=1)
    )
    assert DeadLetterFilter.from_query(wanted.to_query()) == replace(wanted, ids=None)
    with pytest.raises(ValueError, match="got the unknown colour"):
        DeadLetterFilter.from_json({"colour": "red"})


def _run(job: Job) -> None:
    """Run only this job, now, by the real engine: jobs it redrives are not run."""
    Job.objects.filter(pk=job.pk, state=State.SCHEDULED).update(
        state=State.READY, ready_at=job.enqueued_at, run_after=None
    )
    Job.objects.filter(pk=job.pk).update(queue_name="alone")
    drain(queues=["alone"])
