"""A wrong option, in another library's word or misspelt, is answered with ours, or with what to do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from django_jobs import Batch, Chunk, Retry, Snooze, job, registry, schedule
from django_jobs.backoff import Constant, Exponential, Linear
from django_jobs.exceptions import ArgumentsError, ConfigurationError, RateLimited
from django_jobs.limits import CircuitBreaker, Concurrency, Ordering, RateLimit
from django_jobs.options import JobKeywords, ScheduleOptions, UsingOptions
from django_jobs.policy import foreign_options
from django_jobs.policy.hints import USING_OPTIONS, find_near
from django_jobs.uniqueness import Unique
from tests.sampleapp import jobs as sample

OPTIONS_OF_JOB = {*JobKeywords.__annotations__, "takes_context", "chunk"}
CLASSES = [Exponential, Linear, Constant, RateLimit, Concurrency, Ordering, CircuitBreaker, Unique, Chunk]


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        # Celery
        ({"queue": "mail"}, "unknown option queue (did you mean queue_name?); known are "),
        ({"max_retries": 3}, "max_retries (did you mean max_attempts? It counts the first attempt too: 3 retries are"),
        ({"bind": True}, "bind (did you mean takes_context? The first parameter is the job's context)"),
        ({"autoretry_for": (OSError,)}, "autoretry_for (did you mean retry_on?)"),
        ({"retry_backoff": True}, "retry_backoff (did you mean backoff?)"),
        ({"default_retry_delay": 60}, "default_retry_delay (did you mean backoff?)"),
        ({"time_limit": 60}, "time_limit (did you mean timeout?)"),
        ({"ignore_result": True}, "ignore_result (leave it out: the result is what the function returns;"),
        ({"acks_late": True}, "acks_late (leave it out: a job is finished after its run"),
        ({"throws": (KeyError,)}, "throws (did you mean discard_on?)"),
        ({"link": None}, "link (use send.after(*jobs), chain(...) or a Graph)"),
        # RQ, Dramatiq, Huey, Procrastinate, django.tasks, Django Q
        ({"connection": None}, "connection (the jobs are in the database DJANGO_JOBS['DATABASE'])"),
        ({"job_timeout": 60}, "job_timeout (did you mean timeout?)"),
        ({"task_time_limit": 60}, "task_time_limit (did you mean timeout?)"),
        ({"singleton": True}, "singleton (did you mean unique?)"),
        ({"scheduled_at": 60}, "scheduled_at (run_after is an option of using(...))"),
        ({"at_front": True}, "at_front (did you mean priority? A higher one runs first)"),
        ({"actor_name": "x"}, "actor_name (did you mean name?)"),
        ({"max_age": 60}, "max_age (did you mean expires?)"),
        ({"retries": 3}, "retries (did you mean max_attempts?"),
        ({"context": True}, "context (did you mean takes_context?"),
        ({"queueing_lock": "a"}, "queueing_lock (did you mean unique?)"),
        ({"lock": "a"}, "lock (did you mean ordering_key? Jobs of one key run one after another)"),
        ({"pass_context": True}, "pass_context (did you mean takes_context?"),
        ({"enqueue_on_commit": True}, "enqueue_on_commit (leave it out: a job is enqueued in the caller's transaction"),
        ({"processes": 2}, "processes (an option of manage.py runworker, not of a job)"),
        # misspelt, and in the wrong place
        ({"que_name": "mail"}, "que_name (did you mean queue_name?)"),
        ({"takes_contxt": True}, "takes_contxt (did you mean takes_context?)"),
        ({"Priority": 5}, "Priority (did you mean priority?)"),
        ({"run_after": 60}, "run_after (run_after is an option of using(...))"),
        ({"countdown": 60}, "countdown (run_after is an option of using(...))"),
        ({"idempotency_ky": "a"}, "idempotency_ky (did you mean idempotency_key, an option of using(...)?)"),
        ({"zzz": 1}, "unknown option zzz; known are name, queue_name,"),
        ({"queue": "mail", "bind": True}, "unknown option bind (did you mean takes_context? The first parameter is"),
    ],
)
def test_an_unknown_option_of_job_is_answered_with_ours(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        job(name="sample.hinted", **options)

    assert str(caught.value).startswith("@job sample.hinted: unknown option ")
    assert hint in str(caught.value)
    listed = str(caught.value).partition("; known are ")[2]
    assert set(listed.split(", ")) >= OPTIONS_OF_JOB


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"delay": 60}, "delay (did you mean run_after?)"),
        ({"countdown": 60}, "countdown (did you mean run_after?)"),
        ({"eta": None}, "eta (did you mean run_after?)"),
        ({"queue": "mail"}, "queue (did you mean queue_name?)"),
        ({"expires": 60}, "expires (did you mean expires_at? An instant, or a time after the enqueue)"),
        ({"queueing_lock": "a"}, "queueing_lock (did you mean idempotency_key?)"),
        ({"task_id": "a"}, "task_id (did you mean idempotency_key?)"),
        ({"timeout": 60}, "timeout (timeout is an option of @job)"),
        ({"kwargs": {}}, "kwargs (arguments go to enqueue(...))"),
    ],
)
def test_an_unknown_option_of_an_enqueue_is_answered_with_ours(options: dict[str, Any], hint: str) -> None:
    for target in (sample.named, sample.named.s(1)):
        with pytest.raises(ConfigurationError) as caught:
            target.using(**options)

        assert str(caught.value).startswith("sample.named.using: unknown option ")
        assert hint in str(caught.value)
        assert str(caught.value).endswith("; known are " + ", ".join(UsingOptions.__annotations__))


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"crontab": "@daily"}, "crontab (did you mean cron?)"),
        ({"interval": 60}, "interval (did you mean every?)"),
        ({"minutes": 5}, "minutes (did you mean every? A timedelta, or seconds)"),
        ({"tz": "UTC"}, "tz (did you mean timezone?)"),
        ({"kwargs": {}}, "kwargs (did you mean args?)"),
        ({"queue_name": "mail"}, "queue_name (queue_name is an option of @job)"),
        ({"run_after": 60}, "run_after (run_after is an option of using(...))"),
    ],
)
def test_an_unknown_option_of_a_schedule_is_answered_with_ours(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        schedule("hinted", sample.do_nothing, **options)

    assert hint in str(caught.value)
    assert str(caught.value).endswith(", ".join([*ScheduleOptions.__annotations__, "args"]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Exponential(base=5), "Exponential: unknown option base (did you mean factor?); known are first,"),
        (lambda: Exponential(max_backoff=5), "Exponential: unknown option max_backoff (did you mean maximum?"),
        (lambda: Linear(interval=5), "Linear: unknown option interval (did you mean step?)"),
        (lambda: Constant(seconds=5), "Constant: unknown option seconds (did you mean delay?)"),
        (lambda: RateLimit(10, period=60), "RateLimit: unknown option period (did you mean per?); known are count,"),
        (lambda: RateLimit(10, by="a"), "RateLimit: unknown option by (did you mean key?)"),
        (lambda: Concurrency(max=3), "Concurrency: unknown option max (did you mean limit?)"),
        (lambda: Ordering(by="a"), "Ordering: unknown option by (did you mean key?)"),
        (lambda: CircuitBreaker(fail_max=3), "CircuitBreaker: unknown option fail_max (did you mean failures?)"),
        (lambda: CircuitBreaker(failures=3, reset_timeout=9), "unknown option reset_timeout (did you mean open_for?)"),
        (lambda: Unique(key="a"), "Unique: unknown option key (did you mean by?)"),
        (lambda: Unique(period=60), "Unique: unknown option period (a unique job has no period; using(idempotency_key"),
        (lambda: Batch(callback=None), "Batch: unknown option callback (did you mean on_complete?); known are descr"),
        (lambda: Retry(countdown=5), "Retry: unknown option countdown (did you mean after?); known are after, reason"),
        (lambda: Snooze(seconds=5), "Snooze: unknown option seconds (did you mean delay?)"),
        (lambda: RateLimited(after=5), "RateLimited: unknown option after (did you mean retry_after?)"),
    ],
)  # fmt: skip
def test_an_unknown_option_of_a_value_is_answered_with_ours(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()

    assert message in str(caught.value)


@pytest.mark.parametrize("kind", [*CLASSES, Batch, Retry, Snooze, RateLimited])
def test_every_value_that_has_options_explains_them(kind: type) -> None:
    with pytest.raises(TypeError, match=rf"^{kind.__name__}: unknown option zzz; known are \w+"):
        kind(zzz=1)


def test_values_with_options_are_made_compared_and_copied_as_before() -> None:
    limit = RateLimit(10, per=60, key="a")
    assert copy.replace(limit, burst=20) if hasattr(copy, "replace") else True
    assert copy.deepcopy(limit) == limit != RateLimit(10, per=61, key="a")
    assert RateLimit.__init__.__doc__ == RateLimit.__init__.__wrapped__.__doc__
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'count'"):
        RateLimit()


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda: job("mail"), "@job: expected a function, got 'mail'; options are given by keyword"),
        (lambda: job("mail", retries=3), "got 'mail'; options are given by keyword, such as @job(queue_name='mail')"),
        (lambda: job("mail", 5), "@job: expected a function, got 'mail', 5; options are given by keyword"),
        (lambda: job(print, "mail"), "@job: expected a function, got <built-in function print>, 'mail'; options"),
        (lambda: job(5), "@job: expected a function, got 5; options are given by keyword, such as @job(queue_name="),
        (lambda: schedule("often", sample.do_nothing, 60), "schedule 'often': options are given by keyword, such"),
        (lambda: sample.named.using(60), "options are given by keyword, such as using(run_after=60); got 60"),
    ],
)  # fmt: skip
def test_options_by_position_are_answered_with_keywords(give: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        give()

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("keywords", "hint"),
    [
        ({"countdown": 60}, "; options of one enqueue go to using(run_after=...).enqueue(...)"),
        ({"queue_name": "mail"}, "; options of one enqueue go to using(queue_name=...).enqueue(...)"),
        ({"zzz": 1}, ""),
    ],
)
def test_options_given_to_enqueue_are_sent_to_using(keywords: dict[str, Any], hint: str) -> None:
    with pytest.raises(ArgumentsError) as caught:
        sample.named.enqueue(1, **keywords)

    assert str(caught.value).endswith(f"got an unexpected keyword argument '{next(iter(keywords))}'{hint}")


def test_methods_of_other_libraries_are_answered_with_ours() -> None:
    for method, ours in foreign_options.METHODS.items():
        with pytest.raises(AttributeError) as caught:
            getattr(sample.named, method)
        assert str(caught.value) == f"<job sample.named> has no attribute {method!r}; what you look for is {ours}"
    with pytest.raises(AttributeError, match=r"^<job sample\.named> has no attribute 'zzz'$"):
        getattr(sample.named, "zzz")  # noqa: B009 - a type checker knows that there is none
    assert copy.copy(sample.named).name == sample.named.name


def test_the_options_of_using_that_stand_below_are_those_of_using() -> None:
    assert set(USING_OPTIONS) == set(UsingOptions.__annotations__)


def test_the_table_of_other_words_leads_only_to_options_that_exist() -> None:
    known = {
        *OPTIONS_OF_JOB,
        *UsingOptions.__annotations__,
        "args",
        "after",
        "reason",
        "delay",
        "retry_after",
        "description",
        "on_complete",
        "on_failure",
    }
    for kind in CLASSES:
        known |= set(kind.__dataclass_fields__)
    assert {ours for options in foreign_options.EQUIVALENTS.values() for ours in options} <= known
    assert foreign_options.NOTES.keys() <= foreign_options.EQUIVALENTS.keys()
    for text in (*foreign_options.ADVICE.values(), *foreign_options.NOTES.values()):
        assert not text.endswith((".", "?"))


@pytest.mark.parametrize(
    ("name", "near"),
    [("sample.nmaed", "sample.named"), ("SAMPLE.NAMED", "sample.named"), ("other", None), ("", None), (5, None)],
)
def test_the_nearest_name_is_found_whatever_its_case(name: Any, near: str | None) -> None:
    assert find_near(name, ["sample.named", "sample.echo"]) == near


def test_a_wait_with_a_word_of_another_library_still_takes_the_right_one() -> None:
    assert Retry(5, reason="busy").after == timedelta(seconds=5)
