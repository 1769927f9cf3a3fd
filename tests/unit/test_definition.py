import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from enum import Enum

import pytest
from django.test import override_settings

import django_jobs
from django_jobs import JobDefinition, job, registry
from django_jobs.backoff import Exponential
from django_jobs.enqueueing import new_job
from django_jobs.exceptions import ArgumentsError, ConfigurationError
from django_jobs.policy.backoff import FixedWaits
from tests.sampleapp import jobs


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))


def work(first: int, second: int = 2) -> int:
    """Add."""
    return first + second


@pytest.mark.parametrize("decorate", [job, job(), job(name="tests.unit.test_definition.work")])
def test_a_decorated_function_is_a_registered_job_that_can_still_be_called(decorate):
    definition = decorate(work)

    assert isinstance(definition, JobDefinition)
    assert definition.name == "tests.unit.test_definition.work"
    assert definition(1) == 3
    assert definition(1, second=5) == 6
    assert registry.get(definition.name) is definition
    assert repr(definition) == "<job tests.unit.test_definition.work>"


def test_a_job_looks_like_its_function():
    definition = job(work)

    assert definition.__doc__ == "Add."
    assert definition.__name__ == "work"
    assert definition.__wrapped__ is work


def test_an_attribute_of_the_function_does_not_shadow_the_jobs_own():
    def marked():
        pass

    marked.name = "something else"
    marked.options = None

    definition = job(name="sample.marked")(marked)

    assert definition.name == "sample.marked"
    assert definition.options is not None


def test_every_option_is_kept():
    definition = job(
        name="sample.options",
        queue_name="documents",
        priority=-100,
        max_attempts=10_000,
        backoff=[1, 2],
        retry_on=OSError,
        discard_on=(KeyError, IndexError),
        timeout=90,
        atomic=True,
    )(work)

    options = definition.options
    assert definition.name == "sample.options"
    assert (options.queue_name, options.priority, options.max_attempts) == ("documents", -100, 10_000)
    assert options.backoff == FixedWaits((timedelta(seconds=1), timedelta(seconds=2)))
    assert options.retry_on == (OSError,)
    assert options.discard_on == (KeyError, IndexError)
    assert options.timeout == timedelta(seconds=90)
    assert options.atomic is True
    assert options.takes_context is False


def test_without_options_a_job_has_the_defaults():
    options = job(work).options

    assert options.resolve("queue_name") == "default"
    assert options.resolve("priority") == 0
    assert options.resolve("max_attempts") == 5
    assert options.resolve("timeout") is None
    assert options.resolve("backoff") == Exponential()
    assert options.retry_on == (Exception,)
    assert options.discard_on == ()


SETTINGS = {
    "JOB_DEFAULTS": {"queue_name": "usual", "priority": 1, "max_attempts": 11, "timeout": 100},
    "QUEUES": {"usual": {"priority": 2}, "mail": {"max_attempts": 22, "timeout": None}},
}


@override_settings(DJANGO_JOBS=SETTINGS)
def test_an_option_is_the_jobs_own_then_its_queues_then_the_default():
    options = job(work).options
    assert options.resolve("queue_name") == "usual"
    assert options.resolve("priority") == 2
    assert options.resolve("max_attempts") == 11

    options = job(queue_name="mail", priority=0)(work).options
    assert options.resolve("priority") == 0
    assert options.resolve("max_attempts") == 22
    assert options.resolve("timeout") is None


@override_settings(DJANGO_JOBS=SETTINGS)
def test_the_queue_that_an_enqueue_chooses_gives_its_options():
    new = new_job(job(work).using(queue_name="mail"))

    assert (new.queue_name, new.priority, new.max_attempts) == ("mail", 1, 22)


class Queues(str, Enum):  # noqa: UP042 - the str() of a StrEnum is its value
    MAIL = "mail"


def test_a_queue_that_is_the_member_of_an_enum_is_its_value_in_every_text():
    """In the notification that wakes its workers, too."""
    given, defined = job(work).using(queue_name=Queues.MAIL), job(queue_name=Queues.MAIL)(work)
    assert [f"{new_job(definition).queue_name}" for definition in (given, defined)] == ["mail", "mail"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue_name": ""}, "queue_name: expected 1 to 100 printable characters without commas, got ''"),
        ({"queue_name": "x" * 101}, "queue_name: expected 1 to 100 printable characters"),
        (
            {"priority": 101},
            "priority: expected a whole number from -100 to 100 (higher runs first), got 101",
        ),
        (
            {"priority": -101},
            "priority: expected a whole number from -100 to 100 (higher runs first), got -101",
        ),
        ({"priority": 1.0}, "priority: expected a whole number"),
        ({"priority": True}, "priority: expected a whole number"),
        (
            {"max_attempts": 0},
            "max_attempts: expected a whole number from 1 to 10000 (the first attempt included), got 0",
        ),
        ({"max_attempts": "5"}, "max_attempts: expected a whole number"),
        ({"backoff": "slow"}, "backoff: expected Exponential, Linear, Constant, a timedelta or seconds, a list"),
        ({"timeout": 0}, "timeout: expected a timedelta or seconds, above zero, at most 3650 days; got 0"),
        (
            {"retry_on": ValueError()},
            "retry_on must be an exception class or a tuple of them, got ValueError()",
        ),
        ({"retry_on": [ValueError]}, "retry_on must be an exception class or a tuple of them"),
        ({"discard_on": (int,)}, "discard_on must be an exception class or a tuple of them"),
    ],
)
def test_a_bad_option_is_refused_naming_the_job_the_option_and_what_came(options, message):
    with pytest.raises(ConfigurationError) as caught:
        job(name="sample.bad", **options)

    assert str(caught.value).startswith("@job sample.bad: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 201, "a\0b", "a\nb", 5])
def test_a_name_that_cannot_be_stored_is_refused(name):
    with pytest.raises(ConfigurationError, match="@job: name must be 1 to 200 printable characters, got "):
        job(name=name)(work)


def test_the_longest_name_is_taken():
    assert job(name="x" * 200)(work).name == "x" * 200


@pytest.mark.parametrize("thing", ["sample.name", 5, ["queue"]])
def test_an_option_given_by_position_is_refused(thing):
    with pytest.raises(
        ConfigurationError,
        match=r"expected a function, got .*; options are given by keyword",
    ):
        job(thing)


@pytest.mark.parametrize("decorate", [job, job()])
def test_a_class_is_no_job(decorate):
    class Worker:
        pass

    with pytest.raises(ConfigurationError, match="@job: expected a function, got <class"):
        decorate(Worker)


def test_an_async_function_is_known_as_one():
    assert jobs.echo_async.is_async
    assert not jobs.echo.is_async
    assert asyncio.run(jobs.echo_async(5)) == 5


def test_an_async_job_cannot_be_atomic():
    async def work():
        pass

    with pytest.raises(ConfigurationError, match="atomic=True needs a plain function"):
        job(atomic=True)(work)


def test_a_job_with_a_context_is_enqueued_without_it():
    @job(takes_context=True)
    def with_context(context, value):
        return value

    assert with_context.options.takes_context
    with pytest.raises(ArgumentsError, match="missing a required argument: 'value'"):
        with_context.enqueue()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run_after": "5"}, "using(run_after): expected an aware datetime, or a timedelta or seconds, at most 3650"),
        ({"run_after": datetime(2026, 1, 1)}, "using(run_after): expected an aware datetime, got the naive"),  # noqa: DTZ001 - naive is the point
        ({"queue_name": "a,b"}, "using(queue_name): expected 1 to 100 printable characters without commas"),
        ({"priority": 1000}, "using(priority): expected a whole number from -100 to 100"),
        ({"max_attempts": 0}, "using(max_attempts): expected a whole number from 1 to 10000"),
        ({"metadata": [1]}, "using(metadata): expected a dict, got [1]"),
        (
            {"metadata": {"django_jobs_task": {}}},
            "using(metadata): expected keys other than 'django_jobs_celery', 'django_jobs_task'",
        ),
    ],
)
def test_a_bad_option_of_one_enqueue_is_refused_naming_it(options, message):
    with pytest.raises(ConfigurationError) as caught:
        jobs.named.using(**options)

    assert str(caught.value).startswith("sample.named.")
    assert message in str(caught.value)


def test_options_of_an_enqueue_can_be_given_one_after_another():
    later = jobs.named.using(priority=5, metadata={"tenant": 7}).using(run_after=timedelta(hours=1), priority=6)
    new = new_job(later)

    assert (new.name, new.queue_name, new.priority, new.max_attempts) == ("sample.named", "documents", 6, 3)
    assert new.metadata == '{"tenant":7}'
    assert (new.run_after, new.delay_seconds) == (None, 3600.0)


def test_an_instant_goes_as_it_is_and_a_delay_as_seconds():
    due = datetime(2030, 1, 1, tzinfo=UTC)
    new = new_job(jobs.named.using(run_after=due))

    assert (new.run_after, new.delay_seconds) == (due, None)


def test_an_option_of_none_is_as_if_not_given():
    later = jobs.named.using(priority=5, run_after=timedelta(hours=1)).using(priority=None, run_after=None)

    assert new_job(later) == new_job(jobs.named)


def test_a_job_cannot_be_changed_and_its_options_make_another():
    later = jobs.named.using(priority=5)

    with pytest.raises(dataclasses.FrozenInstanceError):
        jobs.named.options = later.options
    assert isinstance(later, JobDefinition)
    assert (later.function, later.name, later.signature) == (
        jobs.named.function,
        jobs.named.name,
        jobs.named.signature,
    )
    assert (later(7), later.__doc__, repr(later)) == (jobs.named(7), jobs.named.__doc__, repr(jobs.named))


def test_a_job_is_found_by_its_name_and_an_unknown_name_takes_any_arguments():
    assert django_jobs.find_job("sample.named") is jobs.named
    unknown = django_jobs.find_job("other.service", unknown="allow").using(priority=5)

    assert unknown.signature.bind((1,), {"two": 2}) == {"*": [1], "two": 2}
    assert (new_job(unknown).name, new_job(unknown).priority) == ("other.service", 5)


def test_an_unknown_option_of_one_enqueue_is_refused_with_the_list_of_the_known():
    with pytest.raises(ConfigurationError, match=r"sample\.named\.using: unknown option urgent; known are run_after, "):
        jobs.named.using(urgent=True)


def test_options_of_one_enqueue_do_not_change_the_job():
    jobs.named.using(priority=-5)

    assert new_job(jobs.named.using()).priority == 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            jobs.add.enqueue,
            "missing a required argument: 'first'",
        ),
        (lambda: jobs.add.enqueue(1, third=3), "got an unexpected keyword argument 'third'"),
        (lambda: jobs.add.enqueue(frist=1), "missing a required argument: 'first'; did you mean first= by frist=?"),
        (lambda: jobs.add.using(priority=1).enqueue(1, 2, 3), "too many positional arguments"),
        (
            lambda: django_jobs.enqueue("tests.sampleapp.jobs.add", 1, first=1),
            "multiple values for argument 'first'",
        ),
        (lambda: jobs.add.enqueue_many([{"first": 1}, {"fist": 2}]), "(in item 1 of enqueue_many)"),
        (lambda: jobs.add.enqueue_many([(1,), (1, 2, 3)]), "(in item 1 of enqueue_many)"),
        (lambda: jobs.add.enqueue_many([5]), "expected a mapping of keywords or a tuple of positions, got 5"),
        (
            lambda: jobs.add.enqueue_many(["ab"]),
            "expected a mapping of keywords or a tuple of positions, got 'ab'",
        ),
    ],
)
def test_a_wrong_call_fails_before_the_database_is_asked(call, message):
    with pytest.raises(ArgumentsError) as caught:
        call()

    assert message in str(caught.value)
    assert "jobs.add" in str(caught.value) or "mapping" in message


def test_an_argument_that_json_cannot_carry_is_named():
    with pytest.raises(
        django_jobs.exceptions.SerializationError, match=r"^tests\.sampleapp\.jobs\.echo: argument 'value'"
    ):
        jobs.echo.enqueue({"deep": object()}["deep"])


def test_metadata_that_json_cannot_carry_is_named():
    with pytest.raises(django_jobs.exceptions.SerializationError, match=r"^sample\.named: metadata\['x'\]"):
        jobs.named.using(metadata={"x": object()}).enqueue(1)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (jobs.named, "got the job itself, <job sample.named>; call its enqueue"),
        (len, "expected the name of a job, .* got <built-in function len>; @job makes a job"),
        (7, "expected the name of a job, .* got 7"),
    ],
)
def test_what_is_no_name_is_refused_where_a_name_is_expected(given, text):
    for call in (django_jobs.enqueue, django_jobs.find_job):
        with pytest.raises(ConfigurationError, match=text):
            call(given)


@pytest.mark.parametrize("name", ["", "x" * 201, "a\0b"])
def test_a_name_that_no_job_can_have_is_refused_where_it_is_enqueued_by_name(name):
    with pytest.raises(ConfigurationError, match="name must be 1 to 200 printable characters"):
        django_jobs.enqueue(name)
