"""A job succeeds only by work that was done, whatever kind of callable it is."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from django_jobs import JobDefinition, job, registry
from django_jobs.exceptions import ConfigurationError
from django_jobs.testing import drain
from tests.misbehaving import unfinished
from tests.misbehaving.unfinished import BLOCKING, ODD, UNFINISHED, traced
from tests.sampleapp.models import Customer


@pytest.mark.django_db(transaction=True)
def test_work_that_was_not_done_is_a_failure_with_the_cure() -> None:
    jobs = {kind: definition.enqueue("never") for kind, definition in UNFINISHED.items()}
    drain()
    gc.collect()  # an unclosed coroutine would warn here, and a warning is an error
    assert {job.refresh().state for job in jobs.values()} == {"dead"}
    errors = {kind: (job.error or "").partition("UnfinishedResultError: ")[2] for kind, job in jobs.items()}
    expected = "expected the result of finished work, got a"
    assert errors["a coroutine"] == (f"{expected} coroutine: its work was not done; await it, in an async def function")
    assert errors["a generator"] == f"{expected} generator: its work was not done; iterate it, for example by list(...)"
    assert errors["a future of threads"] == f"{expected} Future: its work was not done; return future.result()"
    assert all(error.startswith(expected) for error in errors.values())
    assert not Customer.objects.exists()


class Silent:
    """Say nothing of itself."""

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(name)


@pytest.mark.django_db
def test_a_result_that_tells_nothing_of_itself_is_lost_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    silent = job(name="unfinished.silent")(lambda: [Silent(), object()]).enqueue()
    drain()
    assert (silent.refresh().state, silent.is_result_lost) == ("succeeded", True)


@pytest.mark.django_db(transaction=True)
def test_an_odd_callable_does_its_work() -> None:
    odd = ODD | BLOCKING
    jobs = [definition.enqueue(kind) for kind, definition in odd.items()]
    drain()
    assert [job.refresh().result for job in jobs] == list(odd)
    assert set(Customer.objects.values_list("name", flat=True)) == set(odd)


@pytest.mark.parametrize("kind", ODD)
def test_an_async_function_is_known_as_one_behind_whatever_it_is(kind: str) -> None:
    assert ODD[kind].is_async


@pytest.mark.parametrize("kind", BLOCKING)
def test_what_blocks_stays_in_a_thread(kind: str) -> None:
    assert not BLOCKING[kind].is_async


class Counter:
    def __call__(self, name: str) -> Any:
        yield name

    def count(self, name: str) -> Any:
        yield name


class Mailer:
    """Methods that have no instance when the worker calls them, and one that needs none."""

    def send(self, name: str) -> None: ...

    async def send_async(self, name: str) -> None: ...

    @classmethod
    def send_all(cls, name: str) -> None: ...

    def made_static(name: str) -> str:  # type: ignore[misc]  # noqa: N805 - defined as a job in a class is
        return name


@pytest.mark.parametrize(
    "function",
    [
        unfinished.count,
        unfinished.count_async,
        traced(unfinished.count),
        partial(unfinished.count_async),
        partial(traced(traced(unfinished.count))),
        contextmanager(unfinished.count),
        staticmethod(unfinished.count),
        Counter(),
        Counter().count,
        lambda: (yield),
    ],
)
def test_a_generator_is_refused_at_decoration(function: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"expected a function, got a generator function .* nothing would be"):
        job(name="unfinished.refused")(function)
    assert registry.find("unfinished.refused") is None


@pytest.mark.parametrize("function", [Mailer.send, Mailer.send_async, traced(Mailer.send)])
def test_a_method_in_the_body_of_a_class_is_refused_at_decoration(function: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"got the method Mailer\.send.* cannot be stored; use a function"):
        job(function)


@pytest.mark.parametrize("thing", [vars(Mailer)["send_all"], property(lambda self: 5), Mailer, 5])
def test_what_cannot_be_called_as_a_job_is_refused(thing: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"@job unfinished\.refused: expected a function, got "):
        job(name="unfinished.refused")(thing)


@pytest.mark.django_db
def test_a_parameter_may_have_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))

    @job(name="odd.names", concurrency=3)
    def named(self: int, definition: int, args: int, *, kwargs: int, function: int, cls: int, name: int) -> list[int]:
        return [self, definition, args, kwargs, function, cls, name]

    given = {"self": 1, "definition": 2, "args": 3, "kwargs": 4, "function": 5, "cls": 6, "name": 7}

    @job(name="odd.async_names")
    @traced
    async def named_async(self: int) -> int:
        return self

    calls = [named.enqueue(**given), named.s(**given).enqueue(), *named.enqueue_many([given])]
    calls += [async_to_sync(partial(named.aenqueue, **given))(), async_to_sync(named.s(**given).aenqueue)()]
    async_call = named_async.enqueue(self=5)
    drain()
    assert [call.refresh().result for call in calls] == [list(range(1, 8))] * 5
    assert async_call.refresh().result == 5
    assert named(**given) == list(range(1, 8))


@pytest.mark.django_db
def test_a_partial_and_an_object_take_their_own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))

    def pay(order: int, currency: str, *, rounded: bool = False) -> list[Any]:
        return [order, currency, rounded]

    bound: JobDefinition[..., Any] = job(name="odd.bound")(partial(pay, currency="EUR", rounded=True))
    first: JobDefinition[..., Any] = job(name="odd.first")(partial(pay, 7))
    jobs = [bound.enqueue(7), bound.enqueue(7, currency="CHF"), first.enqueue("EUR"), first.enqueue(currency="EUR")]
    drain()
    assert [job.refresh().result for job in jobs] == [
        [7, "EUR", True],
        [7, "CHF", True],
        [7, "EUR", False],
        [7, "EUR", False],
    ]
