from datetime import timedelta

import pytest

from django_jobs.policy.states import State
from django_jobs.store.status import last_error, read_statuses
from tests.factories import ago, make_attempt, make_job, make_jobs, make_letter

pytestmark = pytest.mark.django_db


@pytest.mark.slow
def test_statuses_of_many_jobs_take_one_statement_and_deleted_ones_are_left_out(django_assert_num_queries):
    jobs = make_jobs(1_100)
    with django_assert_num_queries(1):
        seen = read_statuses([*(job.pk for job in jobs), 0])
    assert seen.keys() == {job.pk for job in jobs}


def test_a_status_has_the_jobs_current_values():
    job = make_job(
        State.RUNNING,
        enqueued_at=ago(minutes=5),
        cancel_requested_at=ago(seconds=1),
        progress_done=3,
        progress_total=9,
        progress_message="pages",
    )
    seen = read_statuses([job.pk])[job.pk]
    assert (seen.state, seen.is_final, seen.is_cancel_requested) == (State.RUNNING, False, True)
    assert (seen.progress_done, seen.progress_total, seen.progress_message) == (3, 9, "pages")
    assert timedelta(minutes=4) < seen.age < timedelta(minutes=6)
    assert seen.due_in is None


def test_a_scheduled_job_says_how_long_it_is_until_it_is_due():
    job = make_job(State.SCHEDULED, run_after=ago(minutes=-5))
    assert timedelta(minutes=4) < read_statuses([job.pk])[job.pk].due_in <= timedelta(minutes=5)


def test_two_statuses_with_the_same_values_are_equal():
    job = make_job(State.RUNNING)
    first, second = read_statuses([job.pk])[job.pk], read_statuses([job.pk])[job.pk]
    assert first == second
    assert first.seen_at <= second.seen_at


def test_the_error_is_that_of_the_newest_dead_letter():
    job = make_job(State.DEAD)
    make_letter(job, error_class="OldError", error_message="old")
    make_letter(job, error_class="builtins.NewError", error_message="new")
    assert last_error(job.pk) == "NewError: new"


def test_a_dead_letter_without_an_error_shows_its_reason():
    job = make_job(State.DEAD)
    make_letter(job, reason="unknown_job", error_class="", error_message="")
    assert last_error(job.pk) == "unknown_job"


def test_without_a_dead_letter_the_error_is_that_of_the_last_attempt():
    job = make_job(State.CANCELLED)
    assert last_error(job.pk) is None
    make_attempt(job, claim_number=1, error_class="First", error_message="1")
    make_attempt(job, claim_number=2, error_class="Second", error_message="2")
    assert last_error(job.pk) == "Second: 2"
