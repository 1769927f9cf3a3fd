"""What was enqueued is found by its arguments and options, and a failure says what came nearest."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from django.db import transaction
from django.test import TestCase, TransactionTestCase

from django_jobs import JobDefinition, chain, find_job, job, registry
from django_jobs.exceptions import ArgumentsError, ConfigurationError, UnknownJobError
from django_jobs.models import Job
from django_jobs.testing import (
    JobsTestMixin,
    aassert_enqueued,
    aassert_not_enqueued,
    aenqueued,
    assert_enqueued,
    assert_not_enqueued,
    assert_num_enqueued,
    capture_jobs,
    drain,
    enqueued,
)
from django_jobs.workflows import RESULT
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer, Document

pytestmark = pytest.mark.django_db


@job(name="testing.report")
def report(
    kind: str,
    /,
    year: int = 2026,
    *pages: int,
    owner: Customer | None = None,
    until: Any = timedelta(days=1),
    **more: Any,
) -> None:
    """Take arguments of every kind."""


@job(name="testing.secret", redact=("pin",))
def secret(pin: str, card: dict[str, Any] | None = None, note: str = "") -> None:
    """Take what nobody may see."""


class Color(enum.StrEnum):
    RED = "red"


def message_of(check: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        check()
    return str(raised.value)


@pytest.mark.parametrize(
    "call",
    [
        report.s("sales"),
        report.s("sales", 2026),
        report.s("sales", year=2026),
        report.s("sales", year=mock.ANY),
        report.s(mock.ANY, until=timedelta(hours=24), owner=None),
    ],
)
def test_positions_keywords_and_defaults_of_the_function_are_alike(call: Any) -> None:
    made = report.enqueue("sales")
    assert assert_enqueued(call, count=1) == made


@pytest.mark.parametrize(
    "call",
    [
        report.s("costs"),
        report.s("sales", 2025),
        report.s("sales", 2026, 1),
        report.s("sales", other=None),
        report.s("sales", until=timedelta(days=2)),
    ],
)
def test_another_argument_is_another_job(call: Any) -> None:
    report.enqueue("sales")
    assert_not_enqueued(call)
    with pytest.raises(AssertionError):
        assert_enqueued(call)


def test_arguments_of_every_kind_are_found() -> None:
    owner, document = Customer.objects.create(name="ada"), Document.objects.create(title="one")
    made = report.enqueue(
        "sales",
        2025,
        1,
        2,
        owner=owner,
        until=[Decimal("1.50"), {"$type": "x", "at": datetime(2026, 1, 1, tzinfo=UTC)}, 2**80, document, (1, 2)],
        kind="two",
        color=Color.RED,
    )
    until = [Decimal("1.5"), {"$type": "x", "at": datetime(2026, 1, 1, tzinfo=UTC)}, 2**80, document, (1, 2)]
    expected = partial(report.s, "sales", 2025, 1, 2, owner=owner, color=Color.RED, kind="two")
    assert assert_enqueued(expected(until=until)) == made
    assert assert_enqueued(expected(until=[mock.ANY, mock.ANY, 2**80, mock.ANY, [1, pytest.approx(2.0)]])) == made
    until[3] = Document(pk=document.pk)
    with pytest.raises(AssertionError, match=r"until\[3\]"):
        assert_enqueued(expected(until=[*until[:3], Document.objects.create(title="two"), (1, 2)]))
    with pytest.raises(AssertionError, match=r"until\[5\]: not there, expected 6"):
        assert_enqueued(expected(until=[*until, 6]))


def test_a_row_that_is_gone_is_still_compared() -> None:
    owner = Customer.objects.create(name="ada")
    report.enqueue("sales", owner=owner)
    Customer.objects.all().delete()
    assert_enqueued(report.s("sales", owner=mock.ANY))
    assert_enqueued(report.s("sales", owner=owner))
    assert_not_enqueued(report.s("sales", owner=Customer(pk=owner.pk + 1)))
    assert_not_enqueued(report.s("sales", owner=Document()))


def test_a_row_is_compared_without_reading_it(django_assert_num_queries: Any) -> None:
    owner = Customer.objects.create(name="ada")
    report.enqueue("sales", owner=owner)
    with django_assert_num_queries(1):
        assert_enqueued(report.s("sales", owner=owner))


def test_some_arguments_are_enough() -> None:
    made = report.enqueue("sales", 2025, 3, color="red")
    assert assert_enqueued(report, arguments={"year": 2025, "color": "red"}) == made
    assert assert_enqueued("testing.report", arguments={"pages": [3]}) == made
    assert_not_enqueued(report, arguments={"year": 2024})


def test_a_task_is_known_by_its_module_path() -> None:
    made = report.enqueue("sales")
    assert assert_enqueued(SimpleNamespace(module_path="testing.report"), arguments={"kind": "sales"}) == made


def test_a_result_of_the_step_before_is_expected_as_such() -> None:
    chain(sample.add.s(1, 2), sample.add.s(3)).enqueue()
    assert_enqueued(sample.add.s(RESULT, 3), count=1)
    assert_enqueued(sample.add.s(mock.ANY, 3), count=1)
    assert_not_enqueued(sample.add.s(2, 3))


def test_options_are_compared() -> None:
    metadata = {"tenant": "blue", "trace": {"id": 7}}
    plain = report.enqueue("plain")
    made = report.using(queue_name="mail", priority=5, run_after=timedelta(hours=1), metadata=metadata).enqueue("sales")
    assert enqueued(report, queue_name="mail", priority=mock.ANY, metadata={"trace": {"id": mock.ANY}}) == [made]
    assert enqueued(report, run_after=timedelta(hours=1)) == enqueued(report, run_after=3600) == [made]
    assert enqueued(report, run_after=made.run_after, state="scheduled") == [made]
    assert enqueued(report, run_after=None) == enqueued(report, run_after=0) == [plain]
    assert enqueued(report, run_after=timedelta(hours=2)) == enqueued(report, metadata={"tenant": "red"}) == []
    assert enqueued(queue_name="mail") == [made]
    assert enqueued() == [plain, made]


def test_options_given_to_using_are_expected() -> None:
    until, expires_at = datetime(2099, 1, 1, tzinfo=UTC), datetime(2099, 2, 1, tzinfo=UTC)
    made = report.using(queue_name="mail", run_after=until, expires_at=expires_at).enqueue("sales")
    assert assert_enqueued(report.s("sales").using(queue_name="mail", run_after=until)) == made
    assert assert_enqueued(report.using(queue_name="mail"), expires_at=expires_at) == made
    assert_not_enqueued(report.using(queue_name="other"))
    assert assert_enqueued(report.using(queue_name="other"), queue_name="mail") == made


def test_a_job_is_found_whatever_its_state_is_and_the_number_counts() -> None:
    first, second = sample.add.enqueue(1), sample.add.enqueue(1)
    drain()
    assert assert_enqueued(sample.add.s(1), count=2) == first
    assert enqueued(sample.add, state="succeeded") == [first, second]
    assert message_of(lambda: assert_enqueued(sample.add.s(1), count=1)).startswith(
        "expected 1 job tests.sampleapp.jobs.add(first=1, second=0), found 2\n"
    )


def test_a_failure_lists_what_was_enqueued_the_nearest_first() -> None:
    other = sample.echo.enqueue("other")
    far = report.using(queue_name="slow").enqueue("costs", 2024)
    near = report.using(queue_name="mail").enqueue("sales", 2025, until={"deep": [1, {"er": 2}]})
    message = message_of(
        lambda: assert_enqueued(report.s("sales", 2026, until={"deep": [1, {"er": 3}]}), queue_name="mail", count=2)
    )
    first, *lines = message.splitlines()
    assert first == (
        "expected 2 jobs testing.report(kind='sales', year=2026, pages=[], owner=None, until={'deep': [1, {'er': 3}]})"
        " with queue_name='mail', found none"
    )
    assert lines == [
        "enqueued:",
        f"  #{near.pk} testing.report(kind='sales', year=2025, until={{'deep': [1, {{'er': 2}}]}}) ready, queue 'mail'",
        "      year: 2025, expected 2026",
        "      until['deep'][1]['er']: 2, expected 3",
        f"  #{far.pk} testing.report(kind='costs', year=2024) ready, queue 'slow'",
        "      kind: 'costs', expected 'sales'",
        "      year: 2024, expected 2026",
        "      until: datetime.timedelta(days=1), expected {'deep': [1, {'er': 3}]}",
        "      queue_name: 'slow', expected 'mail'",
        f"  #{other.pk} tests.sampleapp.jobs.echo(value='other') ready, queue 'default'",
    ]


def test_a_failure_lists_no_more_than_ten() -> None:
    sample.add.enqueue_many([(at,) for at in range(13)])
    message = message_of(lambda: assert_enqueued(sample.add.s(99)))
    assert message.endswith("\n  and 3 more")
    assert message.count("expected 99") == 10


def test_a_failure_without_any_job_says_so() -> None:
    assert message_of(lambda: assert_enqueued(sample.add)) == (
        "expected a job tests.sampleapp.jobs.add, found none\nno job was enqueued"
    )


def test_secrets_stay_hidden() -> None:
    secret.using(metadata={"token": "t0ken"}).enqueue("1234", {"number": "4929", "password": "swordfish"}, note="hi")
    message = message_of(
        lambda: assert_enqueued(
            secret.s("9999", {"number": "4930", "password": "starfish"}, note="ho"), metadata={"token": "other"}
        )
    )
    for text in ("1234", "9999", "swordfish", "starfish", "t0ken", "'other'"):
        assert text not in message
    assert "      pin: ********, not the expected one\n" in message
    assert "      card['password']: ********, not the expected one\n" in message
    assert "      card['number']: '4929', expected '4930'\n" in message
    assert "      metadata['token']: ********, not the expected one" in message


def test_values_of_a_job_whose_code_is_gone_stay_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    gone: JobDefinition[..., None] = job(name="testing.gone")(lambda value: None)
    made = gone.enqueue("opensesame")
    del registry._definitions["testing.gone"]
    assert assert_enqueued("testing.gone", arguments={"value": "opensesame"}) == made
    assert "opensesame" not in message_of(lambda: assert_enqueued("testing.gone", arguments={"value": "x"}))


def test_callbacks_that_wait_for_a_commit_are_counted() -> None:
    transaction.on_commit(lambda: sample.add.enqueue(1))
    sample.echo.enqueue(1)  # has callbacks of its own, which enqueue nothing
    assert "and have enqueued nothing yet: 1; in a TestCase use drained()" in message_of(
        lambda: assert_enqueued(sample.add)
    )


@pytest.mark.parametrize(
    ("check", "error", "says"),
    [
        (
            lambda: assert_enqueued(report, queue="mail"),
            ConfigurationError,
            r"unknown option queue \(did you mean queue_name",
        ),
        (
            lambda: assert_enqueued(report, count=0),
            ValueError,
            r"count\): expected 1 or more, got 0; or use assert_not",
        ),
        (lambda: assert_not_enqueued("testing.reprot"), UnknownJobError, r"did you mean 'testing\.report'\?"),
        (lambda: assert_not_enqueued(SimpleNamespace(module_path="x")), UnknownJobError, r"no job is named 'x'"),
        (lambda: assert_not_enqueued(report.s("a"), arguments={}), ConfigurationError, r"arguments: expected a job or"),
        (lambda: enqueued(arguments={"a": 1}), ConfigurationError, r"arguments: expected a job or a name before them"),
        (lambda: assert_not_enqueued(sample.add, arguments={"frist": 1}), ArgumentsError, r"no argument frist"),
        (lambda: assert_not_enqueued(sample.add.s(third=1)), ArgumentsError, r"got an unexpected keyword|missing"),
        (lambda: assert_enqueued(report, metadata=3), ConfigurationError, r"metadata: expected a dict, got 3"),
        (
            lambda: assert_not_enqueued(report, state="runing"),
            ConfigurationError,
            r"state: expected one of .*, got 'runing'; did you mean 'running'\?",
        ),
        (
            lambda: assert_not_enqueued(report, run_after=datetime(2031, 5, 6)),  # noqa: DTZ001 - that is the point
            ConfigurationError,
            r"run_after: expected an aware datetime",
        ),
        (lambda: enqueued(report, expires_at="2031-05-06"), ConfigurationError, r"expires_at: expected an aware dat"),
        (
            lambda: assert_not_enqueued(sample.echo.s([{1: 2}])),
            ConfigurationError,
            r"expected strings as the keys .* 1$",
        ),
        (lambda: enqueued(metadata={"a": {None: 2}}), ConfigurationError, r"expected strings as the keys .* None"),
        (lambda: assert_num_enqueued(-1), ValueError, r"number\): expected a whole number, zero or more, got -1"),
        (lambda: assert_enqueued(print), ConfigurationError, r"expected a job, a call such as job\.s\(7\), a Task"),
        (lambda: assert_enqueued(report.using(idempotency_key="k")), ConfigurationError, r"idempotency_key cannot be"),
    ],
)
def test_an_expectation_that_nothing_can_meet_is_refused(check: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        check()


def test_a_job_of_another_project_is_given_as_a_definition() -> None:
    assert_not_enqueued(find_job("other.project", unknown="allow"))


def test_jobs_are_captured() -> None:
    sample.add.enqueue(1)
    with capture_jobs() as jobs:
        two = sample.add.enqueue(2)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            sample.add.enqueue(1 // 0 or sample.add.enqueue(3).pk)
        many = sample.echo.enqueue_many([("a",), ("b",)])
    assert jobs == [two, *many]
    assert assert_enqueued(sample.add, among=jobs, count=1) == two
    assert_not_enqueued(sample.add.s(1), among=jobs)
    assert "value='a'" in message_of(lambda: assert_not_enqueued(among=iter(jobs)))
    assert "first: 2, expected 3" in message_of(lambda: assert_enqueued(sample.add.s(3), among=iter(jobs)))


def test_a_block_that_fails_captures_nothing() -> None:
    with pytest.raises(ZeroDivisionError), capture_jobs() as jobs:
        sample.add.enqueue(1 // 0)
    assert jobs == []


def test_the_jobs_of_a_block_are_counted() -> None:
    sample.add.enqueue(1)
    with assert_num_enqueued(2), assert_num_enqueued(1, sample.add):
        sample.add.enqueue(2)
        sample.echo.enqueue(3)
    fewer = pytest.raises(AssertionError, match=r"expected 2 jobs of any name in this block, found 1\n(.|\n)*first=4")
    with fewer, assert_num_enqueued(2):
        sample.add.enqueue(4)
    with pytest.raises(ZeroDivisionError), assert_num_enqueued(2):
        sample.add.enqueue(1 // 0)


class InDjangosCases(JobsTestMixin, TestCase):
    def test_the_assertions_have_djangos_spelling(self) -> None:
        with self.assertNumEnqueued(1, sample.add), self.captureJobs() as jobs:
            made = sample.add.enqueue(1)
        assert self.assertEnqueued(sample.add.s(1), count=1, among=jobs) == made
        self.assertNotEnqueued(sample.echo)
        with self.assertRaisesMessage(self.failureException, "first: 1, expected 2"):
            self.assertEnqueued(sample.add.s(2))
        with self.assertRaisesMessage(self.failureException, "expected no job"):
            self.assertNotEnqueued(sample.add)

    async def test_async_code_is_tested_as_well(self) -> None:
        async with self.assertNumEnqueued(1), capture_jobs() as jobs:
            made = await sample.echo_async.aenqueue("async")
        assert await aassert_enqueued(sample.echo_async.s("async"), count=1, among=jobs) == made
        await aassert_not_enqueued(sample.add)
        assert await aenqueued(sample.echo_async) == [made]
        with pytest.raises(AssertionError, match="expected 3 jobs"):
            async with self.assertNumEnqueued(3):
                await sample.echo_async.aenqueue("async")


class InCommittedTransactions(JobsTestMixin, TransactionTestCase):
    def test_jobs_of_other_connections_are_captured(self) -> None:
        from tests.concurrency import run_together

        with self.captureJobs() as jobs, transaction.atomic():
            before = Job.objects.count()
        assert (before, jobs) == (0, [])
        with self.captureJobs() as jobs:
            run_together(lambda: sample.add.enqueue(1), lambda: sample.add.enqueue(2))
            sample.add.enqueue(3)
        assert sorted(job.arguments["first"] for job in jobs) == [1, 2, 3]
