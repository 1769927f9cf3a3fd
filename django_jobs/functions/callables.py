"""The kind of function that is made a job: plain, async, a generator; seen through decorators, partials and objects."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any, get_type_hints

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.db import connections

from ..exceptions import ConfigurationError

_RECEIVERS = ("self", "cls")


def check_function(label: str, function: Any) -> None:
    """Raise ConfigurationError for what cannot be a job."""
    if isinstance(function, (type, classmethod, property)) or not callable(function):
        raise ConfigurationError(f"{label}: expected a function, got {function!r}")
    if _is_method(function):
        raise ConfigurationError(
            f"{label}: expected a function, got the method {function.__qualname__}, whose instance or class cannot be"
            " stored; use a function or a staticmethod, and pass an id to load the instance by"
        )
    if any(inspect.isgeneratorfunction(layer) or inspect.isasyncgenfunction(layer) for layer in layers(function)):
        raise ConfigurationError(
            f"{label}: expected a function, got a generator function ({function!r}): a call would only make the"
            " generator, and nothing would be done; move the loop into a function without yield"
        )


def layers(function: Any) -> Iterator[Any]:
    """Yield a callable and those it calls in turn: of a partial, a method, a decorator with wraps, an object."""
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        seen.add(id(function))
        yield function
        if isinstance(function, partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        else:
            if not isinstance(function, (FunctionType, BuiltinFunctionType)):
                yield type(function).__call__
            function = getattr(function, "__wrapped__", None)


def type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of the parameters; none if one cannot be resolved, as a name for type checkers only."""
    hints: dict[str, Any] = {}
    for layer in layers(function):
        try:
            hints = get_type_hints(layer, include_extras=True) | hints
        except (NameError, TypeError, AttributeError, SyntaxError):
            continue
    hints.pop("return", None)
    return hints


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether a callable or one that it wraps is an ``async def`` function."""
    return any(iscoroutinefunction(layer) for layer in layers(function))


def as_coroutine_function(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return what an event loop may call: a function that returns an awaitable and does not block.

    A plain function around an ``async def`` one may hand on the coroutine, or run it in a loop of its own. It is called
    in a thread, where it may do either.
    """
    if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
        return function

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    async def call_in_thread(*args: Any, **kwargs: Any) -> Any:
        value = await sync_to_async(partial(call, *args, **kwargs), thread_sensitive=False)()
        return await value if inspect.isawaitable(value) else value

    return call_in_thread


def _is_method(function: Callable[..., Any]) -> bool:
    """Tell whether a function stands in the body of a class and takes the instance or the class."""
    parent, _, _ = getattr(function, "__qualname__", "").rpartition(".")
    if not parent or parent.endswith("<locals>") or not inspect.isfunction(function):
        return False
    return next(iter(inspect.signature(function).parameters), None) in _RECEIVERS
