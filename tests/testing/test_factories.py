"""The factories make rows that the engine could have made."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from django_jobs import operations
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import DeadLetter, Job, Worker
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.testing import DeadLetterFactory, JobFactory, drain
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", list(State))
def test_a_job_of_any_state_has_what_belongs_to_it(state: State) -> None:
    job = JobFactory.create(sample.fail.s("why"), state=state, error=ValueError("wrong"), log=["one", "two"])
    outcomes = list(job.attempts.values_list("outcome", flat=True))
    assert (job.state, job.name, job.arguments) == (state.value, sample.fail.name, {"message": "why"})
    assert outcomes == {State.SUCCEEDED: ["succeeded"], State.DEAD: ["failed", "failed"]}.get(state, [])
    assert DeadLetter.objects.open().count() == (state is State.DEAD)
    assert Worker.objects.alive().count() == (state is State.RUNNING)
    assert job.log is not None
    assert [line.message for line in job.log.lines] == ["one", "two"]
    if state is State.DEAD:
        assert job.error == "ValueError: wrong"


@pytest.mark.parametrize("state", [State.READY, State.SCHEDULED, State.BLOCKED])
def test_the_engine_runs_a_job_that_waits(state: State) -> None:
    job = JobFactory.create(sample.add.s(40, 2), state=state)
    drain(run_scheduled=True)
    assert (job.refresh().state, job.result) == ("succeeded", 42)


def test_attempts_that_were_used_have_rows() -> None:
    retried = JobFactory.create(sample.add, state="scheduled", attempt=2)
    running = JobFactory.create("of.another.project", state="running", attempt=3)
    assert [attempt.number for attempt in retried.attempts] == [1, 2]
    assert [attempt.number for attempt in running.attempts] == [1, 2]
    assert {attempt.error for attempt in retried.attempts} == {"RuntimeError: it broke"}
    assert running.claim_number == 3


def test_options_arguments_and_results_are_those_of_the_job() -> None:
    customer = Customer.objects.create(name="ada")
    job = JobFactory.create(
        sample.named.using(queue_name="other", metadata={"at": Decimal(1)}), state="succeeded", result={"who": customer}
    )
    plain = JobFactory.create(arguments={"customer": customer}, metadata={"tenant": "blue"}, priority=7)
    assert (job.queue_name, job.max_attempts) == ("other", sample.named.options.resolve("max_attempts"))
    assert job.result == {"who": customer}
    assert plain.arguments["customer"]["pk"] == customer.pk
    assert (plain.metadata, plain.priority, plain.name) == ({"tenant": "blue"}, 7, "example.job")


def test_instants_are_in_their_order() -> None:
    long_ago = database_now() - timedelta(days=3)
    ended = JobFactory.create(state="succeeded", finished_at=long_ago)
    old = JobFactory.create(state="succeeded", enqueued_at=long_ago)
    assert {ended.enqueued_at, ended.ready_at, ended.started_at, ended.finished_at} == {long_ago}
    assert old.enqueued_at == long_ago
    assert old.ready_at is not None
    assert old.ready_at > long_ago
    (attempt,) = ended.attempts
    assert attempt.finished_at == long_ago


def test_many_are_made_at_once() -> None:
    jobs = JobFactory.create_many(3, sample.add, state="cancelled")
    assert list(Job.objects.filter(state="cancelled").order_by("pk")) == jobs


def test_equal_errors_are_one_group() -> None:
    DeadLetterFactory.create_many(2, sample.fail, error=OSError("refused 7"))
    DeadLetterFactory.create(sample.fail, error=OSError("refused 8"))
    other = DeadLetterFactory.create(sample.fail, error=KeyError("x"))
    groups = operations.groups_page().rows
    assert sorted(group.open for group in groups) == [1, 3]
    assert other.reason == "attempts_used_up"
    assert DeadLetterFactory.create(attempt=1).reason == "not_retryable"


@pytest.mark.parametrize(("status", "state"), [("redriven", "ready"), ("purged", None), ("resolved", "dead")])
def test_a_dead_letter_of_any_status_was_dealt_with(status: str, state: str | None) -> None:
    dead_letter = DeadLetterFactory.create(sample.fail, status=status, by="ada", note="a bug")
    assert (dead_letter.status, dead_letter.resolved_by, dead_letter.note) == (status, "ada", "a bug")
    assert (dead_letter.job.state if dead_letter.job else None) == state
    page = operations.groups_page(status="all")
    assert [(group.total, group.open) for group in page.rows] == [(1, 0)]


def test_what_is_no_column_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="got queue; did you mean queue_name"):
        JobFactory.create(queue="mail")


@pytest.mark.parametrize(
    ("job", "given", "says"),
    [
        (3, {}, "expected a job, a call such as job.s.7., a Task or a name, got 3"),
        (
            sample.add,
            {"error": "refused", "state": "dead"},
            r"JobFactory\(error\): expected an exception, got 'refused'",
        ),
        (sample.add, {"log": "one"}, r"JobFactory\(log\): expected a list of lines, got 'one'"),
    ],
)
def test_what_is_no_job_no_exception_or_no_lines_is_refused(job: Any, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        JobFactory.create(job, **given)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"state": "done"}, r"^JobFactory\(state\): expected one of blocked, scheduled, .*; got 'done'$"),
        ({"state": None}, r"^JobFactory\(state\): expected one of .*; got None$"),
        ({"stat": "ready"}, "^JobFactory: expected columns of Job, got stat; did you mean state\\?$"),
        ({"quene_name": "mail"}, "got quene_name; did you mean queue_name\\?$"),
        ({"colour": "red"}, "^JobFactory: expected columns of Job, got colour$"),
    ],
)
def test_a_misspelt_state_or_column_is_refused_in_a_sentence(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        JobFactory.create(sample.do_nothing, **given)
