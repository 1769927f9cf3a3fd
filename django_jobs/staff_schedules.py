"""Which jobs staff may schedule, and what is wrong with a schedule that they wrote, by the code at hand.

A schedule typed by staff must not reach any function: only jobs with ``@job(schedulable=True)`` and those that the
setting SCHEDULABLE names.
"""

from __future__ import annotations

from typing import Any

from . import registry
from .arguments.serialization import decode
from .conf import get_settings
from .definition import JobDefinition
from .exceptions import ArgumentsError, ConfigurationError, JobsError, UnknownJobError
from .models import CronSchedule
from .policy.schedule import ScheduleSpec
from .schedules import spec_of


def schedulable_jobs() -> list[JobDefinition[Any, Any]]:
    """Return the jobs that staff may schedule, sorted by name."""
    return [definition for definition in registry.all_definitions() if _is_schedulable(definition)]


def get_schedulable_job(name: str) -> JobDefinition[Any, Any]:
    """Return the job of this name, or raise UnknownJobError or ConfigurationError where staff may not schedule it."""
    definition = registry.find(name)
    if definition is None:
        raise UnknownJobError(
            f"job {name!r} is not registered; it was renamed or removed, or its app is not installed"
        )
    if not _is_schedulable(definition):
        raise ConfigurationError(
            f"job {name!r} may not be scheduled by staff; give it @job(schedulable=True) or name it in"
            " DJANGO_JOBS['SCHEDULABLE']"
        )
    return definition


def check_stored_arguments(definition: JobDefinition[Any, Any], arguments: object) -> dict[str, Any]:
    """Return ``arguments`` (a JSON object of keywords) by parameter name, or raise ArgumentsError."""
    if not isinstance(arguments, dict):
        raise ArgumentsError(f'expected a JSON object such as {{"user_id": 7}}, got {arguments!r}')
    bound = definition.signature.bind((), arguments)
    decode(bound)
    return bound


def spec_from_row(row: CronSchedule) -> ScheduleSpec:
    """Return what a row of staff says, with the queue, priority and tries that its job has by now.

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
    """Return what is wrong with a row that staff wrote, an empty text where nothing is."""
    try:
        spec_from_row(row)
    except ConfigurationError as error:
        return str(error)
    return ""


def _is_schedulable(definition: JobDefinition[Any, Any]) -> bool:
    return definition.options.schedulable or definition.name in get_settings().schedulable
