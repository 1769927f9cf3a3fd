"""Hooks: classes of the project around every enqueue and every run, named by the setting ``HOOKS``.

::

    DJANGO_JOBS = {"HOOKS": ["shop.hooks.RequestIdHook", "shop.hooks.TenantHook"]}

A hook is a class with any of the methods of ``EnqueueHook``, ``InsertHook``, ``RunHook`` and ``AsyncRunHook``. One
object is made in each process, without arguments, and used by all of its threads: keep nothing of a run on it. The
first of the list is the outermost. docs/how-to/hooks.md has examples.

A library adds an object of its own by ``add_hook``, without the setting; it is outside of those of the setting.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from . import registry
from .arguments.metadata import write_metadata
from .arguments.serialization import TAG, encode
from .conf import SETTING, get_settings
from .context import JobContext
from .exceptions import ConfigurationError
from .options import check_metadata_keys
from .registry import DefinedJob

if TYPE_CHECKING:
    from .models import Job

__all__ = [
    "AsyncRunHook",
    "DefinedJob",
    "EnqueueHook",
    "InsertHook",
    "Insertion",
    "RunHook",
    "add_hook",
    "remove_hook",
]


class EnqueueHook(Protocol):
    """Adds to the metadata of new jobs."""

    def on_enqueue(self, definition: DefinedJob, /) -> Mapping[str, Any]:
        """Return what joins the metadata of the jobs of one enqueue; ``{}`` for nothing.

        Called where the job is enqueued, once for all jobs of an ``enqueue_many``. A key that the caller gives in
        ``using(metadata=...)`` wins; of two hooks the later one in the list. An exception is raised to the caller.
        """


@dataclass(slots=True)
class Insertion:
    """One enqueue, as hooks see it.

    ``definitions``: of the new jobs, each once; several of a chain, group, chord or graph. ``count``: how many jobs;
    None while ``enqueue_stream`` reads them. ``ids`` of the jobs, once they are inserted; a stream has none. ``jobs``:
    the same as objects, if the enqueue has made some. A unique job that was there already is among both.
    """

    definitions: Sequence[DefinedJob]
    count: int | None
    ids: Sequence[int] = ()
    jobs: Sequence[Job] = ()

    @property
    def queue_names(self) -> list[str]:
        """The queues of the new jobs, each once."""
        return list(dict.fromkeys(map(queue_of, self.definitions)))

    @property
    def public_id(self) -> int | str | None:
        """The id of the one job, such as 4711 or ``eu:4711``; None for several, and before the INSERT."""
        if self.count != 1 or not self.ids:
            return None
        return self.jobs[0].public_id if self.jobs else self.ids[0]

    def inserted(self, jobs: Sequence[Job]) -> None:
        """Take down the jobs that were inserted."""
        self.jobs, self.ids = jobs, [job.pk for job in jobs]


class InsertHook(Protocol):
    """Surrounds each enqueue in this process."""

    def around_enqueue(self, insertion: Insertion, /) -> AbstractContextManager[object]:
        """Return a context manager, entered before ``on_enqueue`` is called and left after the INSERT.

        It sees the exception and may raise another. It cannot end one.
        """


class RunHook(Protocol):
    """Surrounds the function of each run."""

    def around(self, context: JobContext, /) -> AbstractContextManager[object]:
        """Return a context manager, entered where the function runs: like a ``with`` around the function's body.

        It sees the exception and may raise another, which then counts. It cannot end one: that counts all the same.
        """


class AsyncRunHook(RunHook, Protocol):
    """Surrounds the function of each run of an ``async def`` job by a context manager that awaits."""

    def aaround(self, context: JobContext, /) -> AbstractAsyncContextManager[object]:
        """Return what takes the place of ``around`` for ``async def`` jobs; entered in the task of the function."""


METHODS = {
    "on_enqueue": "a plain function that returns a dict",
    "around_enqueue": "a plain function that returns a context manager; put @contextlib.contextmanager over a"
    " generator",
    "around": "a plain function that returns a context manager; put @contextlib.contextmanager over a generator, and"
    " call an asynchronous one aaround",
    "aaround": "a plain function that returns an asynchronous context manager; put @contextlib.asynccontextmanager over"
    " an asynchronous generator",
}
"""The methods of a hook, and what each is to be."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook as the engine calls it: the path of its class, and its methods; None for one that it lacks.

    What they return is not checked yet.
    """

    path: str
    on_enqueue: Callable[[DefinedJob], object] | None
    around_enqueue: Callable[[Insertion], object] | None
    around: Callable[[JobContext], object] | None
    aaround: Callable[[JobContext], object] | None


@dataclass(frozen=True, slots=True)
class AroundHook:
    """A hook that surrounds runs. ``aaround`` None: ``around`` is used for ``async def`` jobs, too."""

    path: str
    around: Callable[[JobContext], object]
    aaround: Callable[[JobContext], object] | None


_added: tuple[tuple[object, Hook], ...] = ()


def add_hook(hook: object) -> None:
    """Use an object as a hook in this process, beside those of the setting. Workers started before do not see it.

    Needs no settings, so that it may be called before Django is set up. Raises ConfigurationError for what is no hook.
    """
    global _added  # noqa: PLW0603 - one assignment: enqueues of other threads see all or nothing of it
    kind = type(hook)
    path = f"{kind.__module__}.{kind.__qualname__}"
    _check_class(path, kind)
    _added = (*_added, (hook, _as_hook(path, hook)))


def remove_hook(hook: object) -> None:
    """Undo ``add_hook``. A worker that runs goes on with it."""
    global _added  # noqa: PLW0603 - as above
    _added = tuple(pair for pair in _added if pair[0] is not hook)


def has_hooks() -> bool:
    """Tell whether there is any hook."""
    return bool(_added or get_settings().hooks)


def load_hooks() -> tuple[Hook, ...]:
    """Return the hooks, those of the setting last and in its order. Raises ConfigurationError for a wrong one."""
    configured = _load(get_settings().hooks)
    return (*(hook for _, hook in _added), *configured) if _added else configured


def queue_of(definition: DefinedJob) -> str:
    """Return the queue of the jobs that are enqueued by this definition."""
    name: str = definition.enqueue_options.get("queue_name") or definition.options.resolve("queue_name")
    return name


@contextmanager
def around_enqueue(insertion: Insertion) -> Iterator[Insertion]:
    """Surround an enqueue by the hooks' ``around_enqueue``."""
    failure: BaseException | None = None
    with ExitStack() as managers:
        for hook in load_hooks():
            if hook.around_enqueue is not None:
                manager = hook.around_enqueue(insertion)
                if not isinstance(manager, AbstractContextManager):
                    raise no_manager(hook.path, "around_enqueue", manager)
                managers.enter_context(manager)
        try:
            yield insertion
        except BaseException as error:
            failure = error
            raise
    if failure is not None:  # a hook has suppressed it
        raise failure


def no_manager(path: str, method: str, got: object) -> ConfigurationError:
    """Return the error about a method that has returned no context manager."""
    return ConfigurationError(
        f"{path}.{method}: expected {METHODS[method]}; it returned a value of type {type(got).__name__}"
    )


def around_hooks() -> tuple[AroundHook, ...]:
    """Return the hooks that surround runs, the outermost first."""
    return tuple(AroundHook(hook.path, hook.around, hook.aaround) for hook in load_hooks() if hook.around is not None)


def hook_metadata(definition: DefinedJob) -> dict[str, Any]:
    """Return what the hooks add to the metadata of new jobs of this definition.

    Raises ConfigurationError for what is no dict, SerializationError for what JSON cannot carry, and whatever a hook
    raises.
    """
    added: dict[str, Any] = {}
    for hook in load_hooks():
        if hook.on_enqueue is not None:
            added |= _checked_metadata(hook.on_enqueue(definition), f"{hook.path}.on_enqueue for {definition.name}")
    return added


def hook_metadata_by_name(name: str) -> dict[str, Any]:
    """Return the same for a tick or a copy, as JSON's own types; nothing for a job that this process does not know."""
    definition = registry.find(name) if has_hooks() else None
    return {} if definition is None else encode(hook_metadata(definition), what=f"{name}: metadata")


def _checked_metadata(given: object, what: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        got = "None" if given is None else f"a value of type {type(given).__name__}"
        raise ConfigurationError(f"{what}: expected a dict for the job's metadata, {{}} to add nothing; got {got}")
    if TAG in given:
        raise ConfigurationError(f"{what}: expected keys other than {TAG!r}, by which stored values are told apart")
    check_metadata_keys(what, given)
    write_metadata(given, what=what)
    return dict(given)


@lru_cache(maxsize=1)
def _load(paths: tuple[str, ...]) -> tuple[Hook, ...]:
    return tuple(_load_one(f"{SETTING}['HOOKS']: {path}", path) for path in paths)


def _load_one(label: str, path: str) -> Hook:
    kind = _import_class(label, path)
    _check_class(label, kind)
    try:
        hook = kind()
    except Exception as error:
        raise ConfigurationError(f"{label}: expected a class that is called without arguments: {error}") from error
    return _as_hook(path, hook)


def _check_class(label: str, kind: type) -> None:
    defined = [name for name in METHODS if hasattr(kind, name)]
    if not defined:
        raise ConfigurationError(
            f"{label}: expected a class with on_enqueue(self, definition) or around(self, context), got one that has"
            " neither"
        )
    if "aaround" in defined and "around" not in defined:
        raise ConfigurationError(f"{label}: expected around(self, context) beside aaround, for jobs that are not async")
    for name in defined:
        _check_method(f"{label}.{name}", getattr(kind, name), expected=METHODS[name])


def _as_hook(path: str, hook: object) -> Hook:
    return Hook(path, *(getattr(hook, name, None) for name in METHODS))


def _import_class(label: str, path: str) -> type:
    try:
        kind: object = import_string(path)
    except Exception as error:
        raise ConfigurationError(f"{label}: expected a class that can be imported: {error}") from error
    if not isinstance(kind, type):
        raise ConfigurationError(f"{label}: expected a class, got {kind!r}")
    return kind


def _check_method(label: str, method: object, *, expected: str) -> None:
    """Refuse a method whose call does nothing but make a generator or a coroutine."""
    kinds = (inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.iscoroutinefunction)
    if not callable(method) or any(is_kind(method) for is_kind in kinds):
        raise ConfigurationError(f"{label}: expected {expected}")


def _forget_hooks(*, setting: str, **_: object) -> None:
    if setting == SETTING:
        _load.cache_clear()


setting_changed.connect(_forget_hooks, dispatch_uid="django_jobs.hooks")
