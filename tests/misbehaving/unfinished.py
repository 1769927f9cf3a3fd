"""Jobs that hand back work that was not done, and odd callables that do theirs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial, wraps
from itertools import accumulate, chain, groupby, islice
from types import SimpleNamespace
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from django_jobs import job
from tests.sampleapp.models import Customer

ONCE: Any = {"max_attempts": 1}


async def add_customer(name: str) -> str:
    """Do the work that must not be left out."""
    await Customer.objects.acreate(name=name)
    return name


def count(name: str) -> Iterator[int]:
    Customer.objects.create(name=name)
    yield 1


async def count_async(name: str) -> AsyncIterator[int]:
    await Customer.objects.acreate(name=name)
    yield 1


class Awaitable:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Iterator[None]:
        yield


@dataclass
class Sent:
    """A result of a project's own type."""

    receipt: Any


def _call(name: str) -> Any:
    return add_customer(name)


def _iterate(name: str) -> Any:
    return count(name)


def _iterate_async(name: str) -> Any:
    return count_async(name)


async def _create_task(name: str) -> Any:
    return asyncio.create_task(asyncio.sleep(3600, name))


async def _create_future(name: str) -> Any:
    return asyncio.get_running_loop().create_future()


async def _return_coroutine(name: str) -> Any:
    return add_customer(name)


UNFINISHED = {
    "a coroutine": job(name="tests.unfinished.coroutine", **ONCE)(_call),
    "coroutines": job(name="tests.unfinished.many", **ONCE)(
        lambda name: {"all": [add_customer(name), (add_customer(name),)]}
    ),
    "a coroutine of a coroutine": job(name="tests.unfinished.twice", **ONCE)(_return_coroutine),
    "a generator": job(name="tests.unfinished.generator", **ONCE)(_iterate),
    "an async generator": job(name="tests.unfinished.async_generator", **ONCE)(_iterate_async),
    "an awaitable": job(name="tests.unfinished.awaitable", **ONCE)(lambda name: Awaitable()),
    "a map": job(name="tests.unfinished.map", **ONCE)(lambda name: map(add_customer, [name])),
    "a coroutine in a dataclass": job(name="tests.unfinished.dataclass", **ONCE)(lambda name: Sent(add_customer(name))),
    "a coroutine in an object": job(name="tests.unfinished.object", **ONCE)(
        lambda name: SimpleNamespace(sent=deque([add_customer(name)]))
    ),
    "a coroutine as a key": job(name="tests.unfinished.key", **ONCE)(lambda name: {add_customer(name): name}),
    "values of a dict": job(name="tests.unfinished.values", **ONCE)(lambda name: {name: add_customer(name)}.values()),
    **{
        f"a {lazy.__name__}": job(name=f"tests.unfinished.{lazy.__name__}", **ONCE)(
            lambda name, lazy=lazy: lazy(map(_call, [name]))
        )
        for lazy in (chain, chain.from_iterable, zip, enumerate, accumulate, groupby)
    },
    "a part of a generator": job(name="tests.unfinished.islice", **ONCE)(lambda name: islice(count(name), 1)),
    "calls up to a value": job(name="tests.unfinished.calls", **ONCE)(lambda name: iter(partial(_call, name), None)),
    "a future of threads": job(name="tests.unfinished.threads", **ONCE)(lambda name: Future()),
    "a task": job(name="tests.unfinished.task", **ONCE)(_create_task),
    "a future": job(name="tests.unfinished.future", **ONCE)(_create_future),
    "a coroutine of an atomic job": job(name="tests.unfinished.atomic", atomic=True, **ONCE)(_call),
}


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """Hand on what the function returns, as most decorators do."""

    @wraps(function)
    def trace(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return trace


def run_here(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run the coroutine in a loop of its own, as projects do that come from synchronous queues."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(function(*args, **kwargs))

    return run


def run_by_asgiref(function: Callable[..., Any]) -> Callable[..., Any]:
    run = async_to_sync(function)

    @wraps(function)
    def run_by_asgiref(*args: Any, **kwargs: Any) -> Any:
        return run(*args, **kwargs)

    return run_by_asgiref


class Greeter:
    """An object whose call is async."""

    async def __call__(self, name: str) -> str:
        return await add_customer(name)

    async def greet(self, name: str) -> str:
        return await add_customer(name)


class Traced:
    """A decorator that is a class."""

    def __init__(self, function: Callable[..., Any]) -> None:
        wraps(function)(self)
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def create_customer(name: str) -> str:
    Customer.objects.create(name=name)
    return name


ODD = {
    "an async function": job(name="tests.odd.plain")(add_customer),
    "a decorated async function": job(name="tests.odd.decorated")(traced(add_customer)),
    "an async function decorated twice": job(name="tests.odd.twice")(traced(traced(add_customer))),
    "a decorator that is a class": job(name="tests.odd.class")(Traced(add_customer)),
    "a partial": job(name="tests.odd.partial")(partial(add_customer)),
    "a partial of a decorated function": job(name="tests.odd.partial_decorated")(partial(traced(add_customer))),
    "a decorated partial": job(name="tests.odd.decorated_partial")(traced(partial(add_customer))),
    "an object": job(name="tests.odd.object")(Greeter()),
    "a decorated object": job(name="tests.odd.decorated_object")(traced(Greeter())),
    "a bound method": job(name="tests.odd.method")(Greeter().greet),
    "a masked async function": job(name="tests.odd.masked", redact=("name",))(traced(add_customer)),
    "a decorator that runs it": job(name="tests.odd.run_here")(run_here(add_customer)),
    "a decorator that runs it by asgiref": job(name="tests.odd.run_by_asgiref")(run_by_asgiref(add_customer)),
    "a function made async": job(name="tests.odd.made_async")(sync_to_async(create_customer)),
}

BLOCKING = {
    "an async function made plain": job(name="tests.odd.made_plain")(async_to_sync(add_customer)),
    "a static method": job(name="tests.odd.static")(staticmethod(create_customer)),
}
