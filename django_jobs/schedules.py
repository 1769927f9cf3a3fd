"""The schedules that this process's code defines, by name: checked at import, written to the database by schedulers."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from .arguments.serialization import encode
from .conf.readers import MAX_NAME_LENGTH, as_duration
from .exceptions import ConfigurationError, JobsError
from .policy.cron import CronError
from .policy.overlap import Overlap
from .policy.schedule import CatchUp, ScheduleSpec, TickPolicy, Timing

if TYPE_CHECKING:
    from .definition import JobDefinition

ChoiceT = TypeVar("ChoiceT", Overlap, CatchUp)


class ScheduleOptions(TypedDict, total=False):
    """What ``schedule`` and ``@job`` may be told about when to enqueue."""

    cron: str
    every: timedelta | float
    timezone: str
    jitter: timedelta | float
    overlap: str
    catch_up: str
    catch_up_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDefinition:
    """A schedule that code defines. ``arguments`` are JSON-only, by name; ``origin`` is file and line."""

    name: str
    job: JobDefinition[..., Any]
    arguments: dict[str, Any]
    timing: Timing
    tick_policy: TickPolicy
    origin: str

    def spec(self) -> ScheduleSpec:
        """Return what the database is to hold of it."""
        return spec_of(self.job, arguments=self.arguments, timing=self.timing, tick_policy=self.tick_policy)


_definitions: dict[str, ScheduleDefinition] = {}


def define_schedule(
    name: str,
    job: JobDefinition[..., Any],
    *,
    arguments: Mapping[str, Any],
    options: ScheduleOptions,
    origin: str,
) -> ScheduleDefinition:
    """Check a schedule and make it known. Raises ConfigurationError or ArgumentsError naming ``origin``."""
    label = f"{origin}: schedule {name!r}"
    if not (0 < len(name) <= MAX_NAME_LENGTH and name.isprintable() and name == name.strip()):
        raise ConfigurationError(f"{label}: expected a name of 1 to {MAX_NAME_LENGTH} printable characters")
    known = _definitions.get(name)
    if known is not None and known.origin != origin:
        raise ConfigurationError(f"{label}: there is one of this name already, at {known.origin}")
    definition = ScheduleDefinition(
        name=name,
        job=job,
        arguments=_bind_arguments(label, job, arguments),
        timing=_timing(label, name, options),
        tick_policy=_tick_policy(label, options),
        origin=origin,
    )
    _definitions[name] = definition
    return definition


def all_schedules() -> list[ScheduleDefinition]:
    """Return every schedule that code defines, sorted by name."""
    return [_definitions[name] for name in sorted(_definitions)]


def spec_of(
    job: JobDefinition[..., Any], *, arguments: dict[str, Any], timing: Timing, tick_policy: TickPolicy
) -> ScheduleSpec:
    """Return what the database is to hold of a schedule of ``job``, the job's own options resolved."""
    queue_name = job.options.resolve("queue_name")
    return ScheduleSpec(
        timing=timing,
        tick_policy=tick_policy,
        job_name=job.name,
        arguments=arguments,
        queue_name=queue_name,
        priority=job.options.resolve("priority", queue_name),
        max_attempts=job.options.resolve("max_attempts", queue_name),
        expires=job.options.expires,
    )


def check_option_names(label: str, options: Mapping[str, Any]) -> None:
    """Raise ConfigurationError where ``options`` holds what no schedule knows, or nothing that says when."""
    unknown = sorted(set(options) - set(ScheduleOptions.__annotations__))
    if unknown:
        raise ConfigurationError(
            f"{label}: unknown option {', '.join(unknown)}; of a schedule known are"
            f" {', '.join(ScheduleOptions.__annotations__)}"
        )


def origin_of(function: Callable[..., Any]) -> str:
    """Return file and line of ``function``."""
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    return repr(function) if code is None else f"{_relative(code.co_filename)}:{code.co_firstlineno}"


def caller_of(function: Callable[..., Any]) -> str:
    """Return file and line from which ``function``, which is calling this, was called."""
    frame = sys._getframe(2)  # noqa: SLF001 - the documented way to one's caller
    return f"{_relative(frame.f_code.co_filename)}:{frame.f_lineno}"


def _relative(path: str) -> str:
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path


def _bind_arguments(label: str, job: JobDefinition[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    try:
        bound = job.signature.bind((), arguments)
        return {key: encode(value, what=f"argument {key!r}") for key, value in bound.items()}
    except JobsError as error:
        raise type(error)(f"{label}: {error}") from None


def _timing(label: str, name: str, options: ScheduleOptions) -> Timing:
    cron, zone = options.get("cron", ""), options.get("timezone", "UTC")
    if not isinstance(cron, str):
        raise ConfigurationError(f"{label}: cron: expected a text such as '0 9 * * 1', got {cron!r}")
    every = options.get("every")
    timing = Timing(
        name=name,
        cron=cron,
        every=None if every is None else as_duration(f"{label}: every", every),
        timezone=zone,
        jitter=as_duration(f"{label}: jitter", options.get("jitter", 0)),
    )
    return _validated(label, timing)


def _tick_policy(label: str, options: ScheduleOptions) -> TickPolicy:
    limit = options.get("catch_up_limit", 10)
    if type(limit) is not int:
        raise ConfigurationError(f"{label}: catch_up_limit: expected a whole number, got {limit!r}")
    tick_policy = TickPolicy(
        overlap=_choice(f"{label}: overlap", Overlap, options.get("overlap", Overlap.SKIP)),
        catch_up=_choice(f"{label}: catch_up", CatchUp, options.get("catch_up", CatchUp.LATEST)),
        catch_up_limit=limit,
    )
    return _validated(label, tick_policy)


CheckedT = TypeVar("CheckedT", Timing, TickPolicy)


def _validated(label: str, value: CheckedT) -> CheckedT:
    try:
        value.check()
    except CronError as error:
        raise ConfigurationError(f"{label}: {error}") from None
    return value


def _choice(option: str, words: type[ChoiceT], value: str) -> ChoiceT:
    try:
        return words(value)
    except ValueError:
        raise ConfigurationError(f"{option}: expected one of {', '.join(words)}, got {value!r}") from None
