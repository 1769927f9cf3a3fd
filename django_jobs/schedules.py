"""Schedules: those of this process's code, and the check of those that staff write.

A schedule in code is checked at import; a worker's scheduler saves it to the database. A schedule typed by staff must
not reach any function: only jobs with ``@job(schedulable=True)`` and those that the setting SCHEDULABLE names.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never, TypeVar, Unpack

from . import registry
from .arguments.references import check_references
from .arguments.serialization import decode, encode
from .conf import get_settings
from .conf.readers import MAX_NAME_LENGTH, as_duration, as_duration_from_zero
from .exceptions import ArgumentsError, ConfigurationError, JobsError, UnknownJobError
from .functions.callables import type_hints
from .functions.origin import Origin, find_origin
from .options import ScheduleOptions, check_option_names
from .policy.cron import CronError
from .policy.overlap import Overlap
from .policy.schedule import CatchUp, ScheduleSpec, TickPolicy, Timing
from .registry import DefinedJob, JobLike

if TYPE_CHECKING:
    from .models import CronSchedule

__all__ = ["ScheduleDefinition", "schedule"]

ChoiceT = TypeVar("ChoiceT", Overlap, CatchUp)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDefinition:
    """A schedule that code defines. ``arguments`` are JSON-only, by name; ``origin`` is file and line.

    ``defined``: the origin by modules, which tells a reload.
    """

    name: str
    job: DefinedJob
    arguments: dict[str, Any]
    timing: Timing
    tick_policy: TickPolicy
    origin: str
    defined: Origin = field(compare=False)

    def spec(self) -> ScheduleSpec:
        """Return the schedule as the database stores it."""
        return spec_of(self.job, arguments=self.arguments, timing=self.timing, tick_policy=self.tick_policy)


_definitions: dict[str, ScheduleDefinition] = {}


def schedule(
    name: str,
    job: JobLike,
    /,
    *surplus: Never,
    args: Mapping[str, Any] | None = None,
    **when: Unpack[ScheduleOptions],
) -> ScheduleDefinition:
    """Have ``job`` enqueued again and again, under a ``name`` of the schedule's own.

    args: keywords for the job, checked now; the others are those of ``ScheduleOptions``.

    Raises ConfigurationError or ArgumentsError naming file, line, schedule and option.
    """
    origin = _caller()
    if surplus:
        raise ConfigurationError(
            f"{origin}: schedule {name!r}: options are given by keyword, such as every=60 or cron='@daily'; got"
            f" {', '.join(map(repr, surplus))}"
        )
    definition = registry.as_definition(job)
    if definition is None:
        raise ConfigurationError(f"{origin}: schedule {name!r}: expected a function with @job, got {job!r}")
    if definition.enqueue_options or definition.waits_for:
        raise ConfigurationError(
            f"{origin}: schedule {name!r}: expected a job without using(...) and after(...), which a schedule"
            " would drop; give the options to @job"
        )
    check_option_names(f"{origin}: schedule {name!r}", when, ScheduleOptions)
    return define_schedule(name, definition, arguments=dict(args or {}), options=when, origin=origin)


def define_schedule(
    name: str,
    job: DefinedJob,
    *,
    arguments: Mapping[str, Any],
    options: ScheduleOptions,
    origin: str,
) -> ScheduleDefinition:
    """Check a schedule and make it known. Raises ConfigurationError or ArgumentsError naming ``origin``."""
    label = f"{origin}: schedule {name!r}"
    if not (0 < len(name) <= MAX_NAME_LENGTH and name.isprintable() and name == name.strip()):
        raise ConfigurationError(f"{label}: expected a name of 1 to {MAX_NAME_LENGTH} printable characters")
    definition = ScheduleDefinition(
        name=name,
        job=job,
        arguments=_bind_arguments(label, job, arguments),
        timing=_timing(label, name, options),
        tick_policy=_tick_policy(label, options),
        origin=origin,
        defined=find_origin(job.function),
    )
    known = _definitions.get(name)
    if known is not None and not _is_redefinition(known, definition):
        raise ConfigurationError(f"{label}: there is one of this name already, at {known.origin}")
    _definitions[name] = definition
    return definition


def _is_redefinition(known: ScheduleDefinition, new: ScheduleDefinition) -> bool:
    """Tell a reload, or the same statement executed again, from another schedule under the same name."""
    if known.defined.is_reloaded_by(new.defined):
        return True
    is_same = known.job.name == new.job.name and replace(known, job=new.job) == new
    return is_same or known.defined.is_rerun_by(new.defined)


def all_schedules() -> list[ScheduleDefinition]:
    """Return every schedule that code defines, sorted by name."""
    return [_definitions[name] for name in sorted(_definitions)]


def spec_of(job: DefinedJob, *, arguments: dict[str, Any], timing: Timing, tick_policy: TickPolicy) -> ScheduleSpec:
    """Return a schedule of ``job`` as the database stores it, the job's options resolved."""
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


def schedulable_jobs() -> list[DefinedJob]:
    """Return the jobs that staff may schedule, sorted by name."""
    return [definition for definition in registry.all_definitions() if _is_schedulable(definition)]


def get_schedulable_job(name: str) -> DefinedJob:
    """Return the job of this name. Raises UnknownJobError, or ConfigurationError if staff may not schedule it."""
    definition = registry.find(name)
    if definition is None:
        raise UnknownJobError(f"job {name!r} is not registered; it was renamed or removed, or its app is not installed")
    if not _is_schedulable(definition):
        raise ConfigurationError(
            f"job {name!r} may not be scheduled by staff; give it @job(schedulable=True) or name it in"
            " DJANGO_JOBS['SCHEDULABLE']"
        )
    return definition


def check_stored_arguments(definition: DefinedJob, arguments: object) -> dict[str, Any]:
    """Return ``arguments`` (a JSON object of keywords) by parameter name.

    Raises ArgumentsError, and SerializationError for what cannot be read, or is a row that the job is not meant to get.
    """
    if not isinstance(arguments, dict):
        raise ArgumentsError(f'expected a JSON object such as {{"user_id": 7}}, got {arguments!r}')
    bound = definition.signature.bind((), arguments)
    check_references(bound, annotations=type_hints(definition.function).values())
    decode(bound)
    return bound


def spec_from_row(row: CronSchedule) -> ScheduleSpec:
    """Return the schedule of a row that staff wrote, with the queue, priority and attempts that its job has now.

    Raises ConfigurationError saying what is wrong with it.
    """
    try:
        timing, tick_policy = row.timing, row.tick_policy
        timing.check()
        tick_policy.check()
        definition = get_schedulable_job(row.job_name)
        arguments = check_stored_arguments(definition, row.arguments)
    except (JobsError, ValueError, TypeError) as error:
        raise ConfigurationError(str(error)) from error
    return spec_of(definition, arguments=arguments, timing=timing, tick_policy=tick_policy)


def find_problem(row: CronSchedule) -> str:
    """Return the error in a row that staff wrote; an empty text if there is none."""
    try:
        spec_from_row(row)
    except ConfigurationError as error:
        return str(error)
    return ""


def _is_schedulable(definition: DefinedJob) -> bool:
    return definition.options.schedulable or definition.name in get_settings().schedulable


def origin_of(function: Callable[..., Any]) -> str:
    """Return file and line of ``function``."""
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    return repr(function) if code is None else f"{_relative(code.co_filename)}:{code.co_firstlineno}"


def _caller() -> str:
    """Return file and line of the call of the function that calls this."""
    frame = sys._getframe(2)  # noqa: SLF001 - the documented way to one's caller
    return f"{_relative(frame.f_code.co_filename)}:{frame.f_lineno}"


def _relative(path: str) -> str:
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path


def _bind_arguments(label: str, job: DefinedJob, arguments: Mapping[str, Any]) -> dict[str, Any]:
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
        jitter=as_duration_from_zero(f"{label}: jitter", options.get("jitter", 0)),
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
