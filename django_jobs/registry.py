"""The jobs that this process knows, by name. Only registered jobs are ever run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Unpack, runtime_checkable

from .arguments.signature import CallSignature
from .exceptions import ConfigurationError, UnknownJobError
from .options import JobOptions, UsingOptions
from .origin import Origin, derived_name, is_lambda, is_same_object, same_code, same_function
from .policy.graph import OnDead
from .policy.limits import RequiredPermit

if TYPE_CHECKING:
    from .models import Job


@runtime_checkable
class DefinedJob(Protocol):
    """A job as the engine uses it; ``JobDefinition`` is the class."""

    @property
    def function(self) -> Callable[..., Any]:
        """The user's function."""

    @property
    def name(self) -> str:
        """The name under which the job is stored."""

    @property
    def origin(self) -> Origin:
        """The place where ``@job`` made it."""

    @property
    def options(self) -> JobOptions:
        """The options of ``@job``."""

    @property
    def signature(self) -> CallSignature:
        """The signature of the function, without the context."""

    @property
    def is_async(self) -> bool:
        """True for an ``async def`` function."""

    @property
    def coroutine_function(self) -> Callable[..., Awaitable[Any]]:
        """The function as an event loop calls it, if ``is_async``."""

    @property
    def enqueue_options(self) -> UsingOptions:
        """The options given to ``using``."""

    @property
    def waits_for(self) -> tuple[int, ...]:
        """The ids of the jobs given to ``after``."""

    @property
    def on_dead(self) -> OnDead:
        """The rule given to ``after``."""

    def needs(self, stored: Mapping[str, Any], /) -> tuple[RequiredPermit, ...]:
        """Return the limits of a job with these arguments, by name."""

    def using(self, **options: Unpack[UsingOptions]) -> DefinedJob:
        """Return the same job with options for its enqueue."""

    def enqueue(self, /, *args: Any, **kwargs: Any) -> Job:
        """Insert one job in the caller's transaction and return it."""


_definitions: dict[str, DefinedJob] = {}


def register(definition: DefinedJob) -> None:
    """Make a job known under its name. Raises ConfigurationError if another function has it already.

    A function that is defined again, by a reload or in a notebook, takes the place of the older one.
    """
    known = _definitions.get(definition.name)
    if known is not None and not _is_redefinition(known, definition):
        note = " (the same lines again)" if same_code(known.function, definition.function) else ""
        raise ConfigurationError(
            f"two jobs are named {definition.name!r}: {known.origin.place} and {definition.origin.place}{note}; one"
            " would run in place of the other: give one of them another @job(name=...)"
        )
    _definitions[definition.name] = definition


def _is_redefinition(known: DefinedJob, new: DefinedJob) -> bool:
    if known.origin.is_reloaded_by(new.origin):
        return True
    if known.origin.name != new.origin.name:
        return False
    is_rerun = known.origin.is_rerun_by(new.origin)
    if same_function(known.function, new.function):
        in_one_import = known.origin.is_own_module and new.origin.is_own_module and not is_rerun
        return not in_one_import or is_same_object(known.function, new.function)
    if not is_rerun:
        return False
    is_another = same_code(known.function, new.function) or is_lambda(new.function)
    return not is_another or new.name != derived_name(new.function)


def find(name: str) -> DefinedJob | None:
    """Return the job of this name, or None."""
    return _definitions.get(name)


def get(name: str) -> DefinedJob:
    """Return the job of this name, or raise UnknownJobError with the names that are known."""
    definition = _definitions.get(name)
    if definition is None:
        raise UnknownJobError(f"no job is named {name!r}; known are {', '.join(sorted(_definitions)) or 'none'}")
    return definition


def all_definitions() -> list[DefinedJob]:
    """Return every registered job, sorted by name."""
    return [_definitions[name] for name in sorted(_definitions)]
