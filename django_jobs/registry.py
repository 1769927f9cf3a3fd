"""The jobs that this process knows, by name. Only what is registered here is ever run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .exceptions import ConfigurationError, UnknownJobError

if TYPE_CHECKING:
    from .definition import JobDefinition

_definitions: dict[str, JobDefinition[Any, Any]] = {}


def register(definition: JobDefinition[Any, Any]) -> None:
    """Make a job known under its name. Raises ConfigurationError where another function has it already."""
    known = _definitions.get(definition.name)
    if known is not None and _origin(known) != _origin(definition):
        raise ConfigurationError(
            f"two jobs are named {definition.name!r}: {_origin(known)} and {_origin(definition)};"
            " give one of them another @job(name=...)"
        )
    _definitions[definition.name] = definition


def find(name: str) -> JobDefinition[Any, Any] | None:
    """Return the job of this name, or None."""
    return _definitions.get(name)


def get(name: str) -> JobDefinition[Any, Any]:
    """Return the job of this name, or raise UnknownJobError with the names that are known."""
    definition = _definitions.get(name)
    if definition is None:
        raise UnknownJobError(
            f"no job is named {name!r}; known are {', '.join(sorted(_definitions)) or 'none'}"
        )
    return definition


def all_definitions() -> list[JobDefinition[Any, Any]]:
    """Return every registered job, sorted by name."""
    return [_definitions[name] for name in sorted(_definitions)]


def _origin(definition: JobDefinition[Any, Any]) -> str:
    return f"{definition.function.__module__}.{definition.function.__qualname__}"
