"""An expected enqueue: a job with arguments and options, read once and compared with jobs of the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict

from django.utils import timezone

from .. import registry
from ..arguments.signature import CallSignature
from ..definition import JobCall
from ..exceptions import ArgumentsError, ConfigurationError
from ..models import Job
from ..options import check_option_names
from ..policy.hints import find_near
from ..policy.metadata import RESERVED_KEYS
from ..policy.states import State
from ..redaction import redact_arguments, redact_for_job
from ..registry import DefinedJob
from .matching import Difference, differences
from .targets import JobLike
from .text import shown_call, shown_differences, shown_value

INSTANT_TOLERANCE = timedelta(seconds=1)
"""A delay is compared with the database's clock, which the enqueue has read."""


class ExpectedOptions(TypedDict, total=False):
    """Expected values of an enqueued job, besides its name; each may be a matcher such as ``mock.ANY``.

    arguments: some of its arguments by name; the others may be any. A call, ``job.s(...)``, names them all.
    queue_name, priority, max_attempts, state: as the job has them now.
    run_after, expires_at: an aware datetime, or a timedelta or seconds from the enqueue; None: not delayed, or never.
    metadata: some of its keys, with their values.
    """

    arguments: Mapping[str, Any]
    queue_name: Any
    priority: Any
    max_attempts: Any
    run_after: Any
    expires_at: Any
    metadata: Mapping[str, Any]
    state: Any


_INSTANTS = ("run_after", "expires_at")
_MAPPINGS = {"arguments", "metadata"}
_STATES = [state.value for state in State]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """An expected enqueue. ``name`` None: of any job; ``arguments`` None: any.

    ``arguments`` are by name, defaults filled in unless ``is_partial``: then there may be others.
    """

    name: str | None
    definition: DefinedJob | None
    arguments: Mapping[str, Any] | None
    is_partial: bool
    options: Mapping[str, Any]

    def differences(self, job: Job) -> list[Difference]:
        """Return where a job of the name is not as expected."""
        return [*self._argument_differences(job), *self._option_differences(job)]

    def shown_differences(self, job: Job) -> list[str]:
        """Return a line for each difference, secrets masked."""
        stored = redact_arguments(job.name, self._by_name(job))
        metadata = redact_for_job(job.name, job.metadata)
        return [
            *shown_differences(self._argument_differences(job), actual=stored, expected=self._redacted_arguments()),
            *shown_differences(
                self._option_differences(job),
                actual={name: getattr(job, name) for name in self.options} | {"metadata": metadata},
                expected=self._redacted_options(),
            ),
        ]

    def __str__(self) -> str:
        """Return the expected call and options, secrets masked."""
        name, arguments = self.name or "of any name", self._redacted_arguments()
        call = name if arguments is None else shown_call(name, arguments, has_more=self.is_partial)
        options = [f"{name}={shown_value(value)}" for name, value in self._redacted_options().items()]
        return f"{call} with {', '.join(options)}" if options else call

    def _argument_differences(self, job: Job) -> Iterator[Difference]:
        if self.arguments is not None:
            yield from differences(self.arguments, self._by_name(job), is_partial=self.is_partial)

    def _option_differences(self, job: Job) -> Iterator[Difference]:
        for name, expected in self.options.items():
            actual = getattr(job, name)
            if name == "metadata":
                yield from differences(expected, actual, path=(name,), is_partial=True)
            elif not (_is_instant(expected, actual, job) if name in _INSTANTS else expected == actual):
                yield Difference((name,), actual, expected)

    def _by_name(self, job: Job) -> dict[str, Any]:
        stored = job.arguments if isinstance(job.arguments, dict) else {}
        return stored if self.definition is None else _by_name(self.definition, stored)

    def _redacted_arguments(self) -> dict[str, Any] | None:
        if self.arguments is None:
            return None
        redacted: dict[str, Any] = redact_arguments(self.name or "", as_plain(self.arguments))
        return redacted

    def _redacted_options(self) -> dict[str, Any]:
        options = dict(self.options)
        if "metadata" in options:
            options["metadata"] = redact_for_job(self.name or "", as_plain(options["metadata"]))
        return options


def expect(job: JobLike | None, options: ExpectedOptions, *, caller: str) -> Expectation:
    """Return what is expected of an enqueue of ``job``; None: of any job.

    Raises ConfigurationError for an unknown option, UnknownJobError for a name that neither this process nor an
    enqueued job has, and ArgumentsError for arguments that the job does not take.
    """
    check_option_names(caller, options, ExpectedOptions)
    given: dict[str, Any] = {**options}
    for option in given.keys() & _MAPPINGS:
        if not isinstance(given[option], Mapping):
            raise ConfigurationError(f"{caller}: {option}: expected a dict, got {given[option]!r}")
    _check_values(given, caller)
    name, definition, call = _read_target(job, caller)
    arguments = given.pop("arguments", None)
    if arguments is not None and (job is None or call is not None):
        raise ConfigurationError(f"{caller}: arguments: expected a job or a name before them, got {job!r}")
    if call is not None:
        # The signature of a Task would turn the values into JSON, and refuse matchers.
        bound = CallSignature.bind(call.definition.signature, call.args, call.kwargs)
        arguments = _by_name(call.definition, bound)
    elif arguments is not None and definition is not None:
        _check_names(definition, arguments, caller)
    _check_keys([arguments, given.get("metadata")], caller)
    return Expectation(
        name=name,
        definition=definition,
        arguments=arguments,
        is_partial=call is None,
        options={**(_options_of(definition, caller) if definition is not None else {}), **given},
    )


def as_plain(value: Any) -> Any:
    """Return dicts and lists in place of mappings and tuples, at any depth; other values as they are."""
    if isinstance(value, Mapping):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    return value


def _by_name(definition: DefinedJob, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments by name, defaults filled in, in the order of the function."""
    arguments = definition.signature.by_name(stored)
    names = [name for name in definition.signature.parameters if name in arguments]
    return {name: arguments[name] for name in (*names, *arguments)}


def _read_target(job: JobLike | None, caller: str) -> tuple[str | None, DefinedJob | None, JobCall | None]:
    """Return a job's name, its definition (None: no code here has the name), and the call that was given."""
    if job is None:
        return None, None, None
    if isinstance(job, JobCall):
        return job.definition.name, job.definition, job
    if isinstance(job, DefinedJob):
        return job.name, job, None
    name: object = job if isinstance(job, str) else getattr(job, "module_path", None)
    if not isinstance(name, str):
        raise ConfigurationError(f"{caller}: expected a job, a call such as job.s(7), a Task or a name, got {job!r}")
    definition = registry.find(name)
    if definition is None and not Job.objects.filter(name=name).exists():
        raise registry.unknown_job(name, may_be_foreign=True)
    return name, definition, None


def _check_names(definition: DefinedJob, names: Iterable[str], caller: str) -> None:
    """Refuse names that no argument has: ``assert_not_enqueued`` would never fail."""
    signature = definition.signature
    unknown = sorted(name for name in names if not signature.has(name))
    if unknown:
        raise ArgumentsError(
            f"{caller}: arguments: {definition.name}{signature.signature} has no argument {', '.join(unknown)}"
        )


def _check_values(options: Mapping[str, Any], caller: str) -> None:
    """Refuse values that no job has: ``assert_not_enqueued`` would never fail."""
    state = options.get("state")
    if isinstance(state, str) and state not in _STATES:
        near = find_near(state, _STATES)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConfigurationError(f"{caller}: state: expected one of {', '.join(_STATES)}, got {state!r}{hint}")
    for name in _INSTANTS:
        value = options.get(name)
        if isinstance(value, str) or (isinstance(value, datetime) and timezone.is_naive(value)):
            raise ConfigurationError(
                f"{caller}: {name}: expected an aware datetime, or a timedelta or seconds, got {value!r}"
            )


def _check_keys(value: Any, caller: str) -> None:
    """Refuse keys that JSON does not have, at any depth."""
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ConfigurationError(f"{caller}: expected strings as the keys of a dict, as in JSON, got {key!r}")
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _check_keys(item, caller)


def _options_of(definition: DefinedJob, caller: str) -> dict[str, Any]:
    """Return the options given to ``using`` as expected ones. Raises ConfigurationError for what is not compared."""
    given: dict[str, Any] = {name: value for name, value in definition.enqueue_options.items() if value is not None}
    if "metadata" in given:
        given["metadata"] = {key: item for key, item in given["metadata"].items() if key not in RESERVED_KEYS}
    refused = sorted(given.keys() - ExpectedOptions.__annotations__.keys())
    if definition.waits_for:
        refused.append("after(...)")
    if refused:
        raise ConfigurationError(
            f"{caller}: {definition.name}: {', '.join(refused)} cannot be compared; give the job without it"
        )
    return given


def _is_instant(expected: Any, actual: datetime | None, job: Job) -> bool:
    """Compare an instant; what is due at once has none."""
    if isinstance(expected, int | float):
        expected = timedelta(seconds=expected)
    if isinstance(expected, timedelta):
        return abs((actual or job.enqueued_at) - job.enqueued_at - expected) < INSTANT_TOLERANCE
    if isinstance(expected, datetime) and actual is None:
        return expected <= job.enqueued_at
    return bool(expected == actual)
