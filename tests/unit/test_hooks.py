"""The setting HOOKS: what a class has to be, and the errors for what is none."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from django.core import checks

from django_jobs.exceptions import ConfigurationError
from django_jobs.hooks import add_hook, around_hooks, load_hooks, remove_hook


class Whole:
    def on_enqueue(self, definition: Any) -> dict[str, Any]:
        return {}

    @contextmanager
    def around(self, context: Any) -> Iterator[None]:
        yield

    @asynccontextmanager
    async def aaround(self, context: Any) -> AsyncIterator[None]:
        yield


class OnlyEnqueue:
    @staticmethod
    def on_enqueue(definition: Any) -> dict[str, Any]:
        return {}


class Empty:
    def on_enque(self, definition: Any) -> dict[str, Any]:
        return {}


class OnlyAsync:
    aaround = Whole.aaround


class Generator:
    def around(self, context: Any) -> Iterator[None]:
        yield


class Coroutine:
    async def around(self, context: Any) -> None: ...


class AsyncGenerator(Whole):
    async def aaround(self, context: Any) -> AsyncIterator[None]:  # type: ignore[override]
        yield


class AsyncEnqueue:
    async def on_enqueue(self, definition: Any) -> dict[str, Any]:
        return {}


class NoMethod:
    on_enqueue = {"tenant": 1}


class WithArguments(Whole):
    def __init__(self, tenant: str) -> None: ...


def function() -> None: ...


def path(name: str) -> str:
    return f"{__name__}.{name}"


def test_without_the_setting_there_are_none() -> None:
    assert load_hooks() == around_hooks() == ()


def test_hooks_are_loaded_once_in_the_order_of_the_setting(settings: Any) -> None:
    settings.DJANGO_JOBS = {"HOOKS": [path("Whole"), path("OnlyEnqueue")]}
    whole, only = load_hooks()
    assert [hook.path for hook in (whole, only)] == [path("Whole"), path("OnlyEnqueue")]
    assert (only.around, only.aaround) == (None, None)
    assert [hook.around for hook in around_hooks()] == [whole.around]
    assert load_hooks()[0] is whole


def test_changed_settings_take_effect(settings: Any) -> None:
    settings.DJANGO_JOBS = {"HOOKS": [path("Whole")]}
    assert len(load_hooks()) == 1
    (before,) = load_hooks()
    settings.DJANGO_JOBS = {}
    assert load_hooks() == ()
    settings.DJANGO_JOBS = {"HOOKS": [path("Whole")]}
    assert load_hooks() != (before,)


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        ("tests.unit.nowhere.Hook", "expected a class that can be imported: No module named 'tests.unit.nowhere'"),
        (path("Missing"), 'expected a class that can be imported: Module "tests.unit.test_hooks" does not define a'),
        (path("function"), "expected a class, got <function function at "),
        (path("Empty"), "expected a class with on_enqueue(self, definition) or around(self, context), got one that"),
        (path("OnlyAsync"), "expected around(self, context) beside aaround, for jobs that are not async"),
        (path("Generator"), "a plain function that returns a context manager; put @contextlib.contextmanager over"),
        (path("Coroutine"), "a plain function that returns a context manager; put @contextlib.contextmanager over"),
        (
            path("AsyncGenerator"),
            "a plain function that returns an asynchronous context manager; put @contextlib.async",
        ),
        (path("AsyncEnqueue"), "a plain function that returns a dict"),
        (path("NoMethod"), "a plain function that returns a dict"),
        (path("WithArguments"), "expected a class that is called without arguments: "),
    ],
)
def test_what_is_no_hook_is_an_error_and_a_failed_check(settings: Any, hook: str, expected: str) -> None:
    settings.DJANGO_JOBS = {"HOOKS": [path("Whole"), hook]}
    with pytest.raises(ConfigurationError, match=re.escape(expected)) as caught:
        load_hooks()
    assert str(caught.value).startswith(f"DJANGO_JOBS['HOOKS']: {hook}")
    messages = [message for message in checks.run_checks(tags=[checks.Tags.compatibility]) if message.is_serious()]
    assert [(message.id, message.msg) for message in messages] == [("django_jobs.E005", str(caught.value))]


def test_a_library_adds_a_hook_outside_of_those_of_the_setting(settings: Any) -> None:
    settings.DJANGO_JOBS = {"HOOKS": [path("OnlyEnqueue")]}
    added = Whole()
    add_hook(added)
    try:
        assert [hook.path for hook in load_hooks()] == [path("Whole"), path("OnlyEnqueue")]
        assert [hook.around for hook in around_hooks()] == [added.around]
    finally:
        remove_hook(added)
    assert [hook.path for hook in load_hooks()] == [path("OnlyEnqueue")]


def test_what_a_library_adds_has_to_be_a_hook() -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"{path('Empty')}: expected a class with on_enqueue(self,")):
        add_hook(Empty())
    assert load_hooks() == ()
