"""The jobs that this process knows, by name. Only registered jobs are ever run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Unpack, runtime_checkable

from .arguments.signature import CallSignature
from .exceptions import ConfigurationError, UnknownJobError
from .functions.origin import Origin, derived_name, is_lambda, is_same_object, same_code, same_function
from .options import JobOptions, UsingOptions
from .policy.graph import OnDead
from .policy.hints import find_near
from .policy.job_ids import JobId
from .policy.limits import RequiredPermit

if TYPE_CHECKING:
    from .context import JobContext
    from .models import Job
    from .store.dialects.base.jobs import StartedRun


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
    def waits_in(self) -> str | None:
        """The database of those jobs, if jobs are in several."""

    @property
    def on_dead(self) -> OnDead:
        """The rule given to ``after``."""

    @property
    def convert_result(self) -> Callable[[Any], Any] | None:
        """A function of the result that returns what is stored; a job with one is dead if that cannot be.

        None: the result is stored as it is, and a job whose result cannot be stored has succeeded.
        """

    def as_called(self, args: Sequence[Any], /) -> DefinedJob:
        """Return the same job with what its row has to tell of a call with these positions, besides the values."""

    @property
    def context_needs_read(self) -> bool:
        """True if ``context_argument`` may use the database for a run that is not the first."""

    def context_argument(self, context: JobContext, run: StartedRun, /) -> Any:
        """Return the context as the function takes it: its first argument, if it takes one."""

    def needs(self, stored: Mapping[str, Any], /) -> tuple[RequiredPermit, ...]:
        """Return the limits of a job with these arguments, by name."""

    def using(self, **options: Unpack[UsingOptions]) -> DefinedJob:
        """Return the same job with options for its enqueue."""

    def enqueue(self, /, *args: Any, **kwargs: Any) -> Job:
        """Insert one job in the caller's transaction and return it."""


class TaskLike(Protocol):
    """A Task of Django, for type checkers; ``contrib.tasks`` knows it."""

    @property
    def module_path(self) -> str:
        """The dotted path of the function, under which its jobs are stored."""


JobLike = DefinedJob | TaskLike
"""What ``as_definition`` takes."""


class JobSource(Protocol):
    """Another way than ``@job`` to define jobs, such as the Tasks of Django."""

    def find(self, name: str, /) -> DefinedJob | None:
        """Return the job of a name that is not registered, and register it; None if there is none."""

    def definition_of(self, given: object, /) -> DefinedJob | None:
        """Return the job that an object of the other way stands for, None for any other object."""

    def find_job_id(self, given: str, /) -> JobId | None:
        """Return the job that an id of the other way stands for, None for any other text. No statement."""


_definitions: dict[str, DefinedJob] = {}
_sources: list[JobSource] = []


def add_source(source: JobSource) -> None:
    """Have jobs looked up in ``source``, too."""
    _sources.append(source)


def as_definition(given: object) -> DefinedJob | None:
    """Return the job that an object is, or stands for; None for anything else."""
    if isinstance(given, DefinedJob):
        return given
    return next((found for source in _sources if (found := source.definition_of(given)) is not None), None)


def find_job_id(given: str) -> JobId | None:
    """Return the job that the id of another way stands for, such as that of a Task's result; else None."""
    return next((found for source in _sources if (found := source.find_job_id(given)) is not None), None)


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


def redefine(definition: DefinedJob) -> None:
    """Make a job known in place of the one of its name, of which the caller knows that it has the same function."""
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
    definition = _definitions.get(name)
    if definition is None and _sources:
        return next((found for source in _sources if (found := source.find(name)) is not None), None)
    return definition


def find_registered(name: str) -> DefinedJob | None:
    """Return the job of this name if it is registered; no other source is asked."""
    return _definitions.get(name)


def get(name: str) -> DefinedJob:
    """Return the job of this name, or raise UnknownJobError with the nearest name."""
    definition = find(name)
    if definition is None:
        raise unknown_job(name)
    return definition


def unknown_job(name: str, *, may_be_foreign: bool = False) -> UnknownJobError:
    """Return the error about a name that no job has, with the nearest one, or all if none is near.

    may_be_foreign: say how to name a job of another code base.
    """
    near = find_near(name, _definitions)
    hint = f"did you mean {near!r}?" if near else f"known are {', '.join(sorted(_definitions)) or 'none'}"
    advice = " (for a job of another code base: find_job(name, unknown='allow'))" if may_be_foreign else ""
    return UnknownJobError(f"no job is named {name!r}; {hint}{advice}")


def names() -> frozenset[str]:
    """Return the names of all registered jobs."""
    return frozenset(_definitions)


def all_definitions() -> list[DefinedJob]:
    """Return every registered job, sorted by name."""
    return [_definitions[name] for name in sorted(_definitions)]
