"""``@consumes``: the messages of which source become jobs of a function, and the checks of that."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from .. import registry
from ..conf.brokers import BrokerSettings
from ..conf.readers import as_bool, as_count, as_duration
from ..exceptions import ConfigurationError, JobsError
from ..functions.callables import check_function
from ..options import check_option_names
from ..policy.topics import matches
from ..registry import DefinedJob
from .connecting import driver_of, find_settings
from .interface import ReceivedMessage, Start, Subscription

F = TypeVar("F", bound=Callable[..., Any])
OnPoison = Literal["dead_letter", "stop"]
Decode = Callable[[ReceivedMessage], Mapping[str, Any]]

_ATTRIBUTE = "_django_jobs_consumes"
DEFAULT_MAX_WAITING = 100_000
MAX_NAME_LENGTH, MAX_GROUP_LENGTH = 255, 100
MIN_TAKEOVER, MAX_TAKEOVER = timedelta(seconds=5), timedelta(hours=1)
"""A consumer has its heartbeat every two seconds."""


class ConsumeOptions(TypedDict, total=False):
    """Options of ``@consumes``.

    group: consumers of one group share the messages; on a log each group has a position of its own.
    start: where a log is read from if no position is stored: ``"earliest"`` (default) or ``"latest"``.
    on_poison: a message that cannot become a job is a dead letter (``"dead_letter"``, default), or reading stops there
    until staff resume it (``"stop"``).
    bind: ``(exchange, pattern)`` pairs: the queue is bound to them (RabbitMQ).
    stream: the queue is a stream (RabbitMQ): it is read as a log, can have groups, and be replayed.
    deduplicate: a log's message whose id was received before makes no job; a queue's never does (False).
    max_waiting: with more of this function's jobs waiting, reading pauses (100,000).
    takeover_after: after so long without a heartbeat (15 s) others read a log's partitions of a dead consumer.
    decode: a function of the ReceivedMessage that returns the arguments by name, for bodies that are no JSON object.
    """

    group: str | None
    start: Start
    on_poison: OnPoison
    bind: list[tuple[str, str]] | tuple[tuple[str, str], ...]
    stream: bool
    deduplicate: bool
    max_waiting: int
    takeover_after: timedelta | float | None
    decode: Decode | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumedSource:
    """One ``@consumes`` of a function, checked."""

    subscription: Subscription
    on_poison: OnPoison
    deduplicate: bool = False
    max_waiting: int
    takeover_after: timedelta | None = None
    decode: Decode | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """A source together with the job that its messages become."""

    source: ConsumedSource
    definition: DefinedJob

    @property
    def subscription(self) -> Subscription:
        """The source as drivers know it."""
        return self.source.subscription

    @property
    def label(self) -> str:
        """The source in texts and commands."""
        return self.subscription.label


def consumes(broker: str, name: str, /, **options: Unpack[ConsumeOptions]) -> Callable[[F], F]:
    """Make the messages of a source jobs of the function; stands below ``@job``, and may stand there several times.

    broker: a name in the setting BROKERS. name: topic, queue, stream or subscription; on a broker ``database:`` a
    pattern such as ``orders.*``. The options are those of ``ConsumeOptions``.

    A body is a JSON object of arguments by name. Raises ConfigurationError naming function and option.
    """

    def mark(function: F) -> F:
        definition = registry.as_definition(function)
        target: Any = function if definition is None else definition.function
        label = f"@consumes({broker!r}, {name!r}) of {getattr(target, '__qualname__', target)!r}"
        check_function(label, target)
        source = _read(label, broker, name, options)
        setattr(target, _ATTRIBUTE, (source, *getattr(target, _ATTRIBUTE, ())))
        return function

    return mark


def _read(label: str, broker: object, name: object, options: ConsumeOptions) -> ConsumedSource:
    check_option_names(label, options, ConsumeOptions)
    given: Mapping[str, Any] = options
    start, on_poison = given.get("start", "earliest"), given.get("on_poison", "dead_letter")
    if start not in ("earliest", "latest"):
        raise ConfigurationError(f"{label}: start: expected 'earliest' or 'latest', got {start!r}")
    if on_poison not in ("dead_letter", "stop"):
        raise ConfigurationError(f"{label}: on_poison: expected 'dead_letter' or 'stop', got {on_poison!r}")
    decode, group = given.get("decode"), given.get("group")
    if decode is not None and not callable(decode):
        raise ConfigurationError(f"{label}: decode: expected a function of the message, got {decode!r}")
    subscription = Subscription(
        broker=_as_text(label, "broker", broker, MAX_NAME_LENGTH),
        name=_as_text(label, "name", name, MAX_NAME_LENGTH),
        group="" if group is None else _as_text(label, "group", group, MAX_GROUP_LENGTH),
        start=start,
        bind=_as_bindings(label, given.get("bind", ())),
        stream=as_bool(f"{label}: stream", given.get("stream", False)),
    )
    return ConsumedSource(
        subscription=subscription,
        on_poison=on_poison,
        deduplicate=as_bool(f"{label}: deduplicate", given.get("deduplicate", False)),
        max_waiting=as_count(f"{label}: max_waiting", given.get("max_waiting", DEFAULT_MAX_WAITING)),
        takeover_after=_as_takeover(f"{label}: takeover_after", given.get("takeover_after")),
        decode=decode,
    )


def _as_text(label: str, option: str, value: object, max_length: int) -> str:
    if isinstance(value, str) and 0 < len(value) <= max_length and value.isprintable() and value == value.strip():
        return value
    raise ConfigurationError(f"{label}: {option}: expected 1 to {max_length} printable characters, got {value!r}")


def _as_takeover(option: str, value: object) -> timedelta | None:
    if value is None:
        return None
    seconds = as_duration(option, value)
    if MIN_TAKEOVER <= seconds <= MAX_TAKEOVER:
        return seconds
    raise ConfigurationError(f"{option}: expected 5 s to an hour, got {seconds.total_seconds():g} s")


def _as_bindings(label: str, value: object) -> tuple[tuple[str, str], ...]:
    pairs = value if isinstance(value, (list, tuple)) else None
    if pairs is not None and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(text, str) and text for text in pair)
        for pair in pairs
    ):
        return tuple((str(exchange), str(pattern)) for exchange, pattern in pairs)
    raise ConfigurationError(
        f"{label}: bind: expected pairs of exchange and pattern, such as [('orders', 'order.*.placed')], got {value!r}"
    )


def consumptions(broker: str | None = None) -> list[Consumption]:
    """Return what the registered jobs consume, sorted by source and job; of one broker if it is named."""
    found = [
        Consumption(source=source, definition=definition)
        for definition in registry.all_definitions()
        for source in getattr(definition.function, _ATTRIBUTE, ())
        if broker is None or source.subscription.broker == broker
    ]
    return sorted(found, key=lambda one: (one.label, one.definition.name))


def subscribers(broker: str, destination: str) -> list[Consumption]:
    """Return the consumptions of a broker ``database:`` whose pattern matches a destination, sorted by job."""
    return [one for one in consumptions(broker) if matches(one.subscription.name, destination)]


def find_consumption(broker: str, name: str, group: str, *, job_name: str | None = None) -> Consumption | None:
    """Return the consumption of a source, or None if no job consumes it any more."""
    for one in consumptions(broker):
        subscription = one.subscription
        if (subscription.name, subscription.group) == (name, group) and job_name in (None, one.definition.name):
            return one
    return None


def find_problems() -> list[str]:
    """Return what is wrong with the ``@consumes`` of this process, a sentence each. No network."""
    problems: list[str] = []
    owners: dict[tuple[str, str, str], Consumption] = {}
    for one in consumptions():
        label = f"{one.definition.origin.place}: @consumes of job {one.definition.name!r}"
        try:
            settings = find_settings(one.subscription.broker)
            _check_consumption(one, settings)
        except JobsError as error:
            problems.append(f"{label}: {error}")
            continue
        identity = (one.subscription.broker, one.subscription.name, one.subscription.group)
        other = owners.setdefault(identity, one)
        if other is not one and not settings.scheme.is_local:
            problems.append(
                f"{label}: {one.label} is consumed by job {other.definition.name!r} too, and each message would go to"
                " one of them; give one of them another group="
            )
    return problems


def check_takeover(one: Consumption) -> None:
    """Raise ConfigurationError if a queue has ``takeover_after``."""
    if one.source.takeover_after is not None:
        raise ConfigurationError(
            f"{one.label}: takeover_after: expected a log, got a queue, whose broker gives what a dead consumer"
            " had to others; leave it out"
        )


def _check_consumption(one: Consumption, settings: BrokerSettings) -> None:
    if one.subscription.stream and not settings.scheme.has_streams:
        raise ConfigurationError(
            f"stream: expected a broker whose queues may be streams (RabbitMQ), got {settings.scheme.name}:; leave it"
            " out"
        )
    driver = driver_of(settings)
    driver.check(one.subscription)
    if driver.source_kind(one.subscription) == "queue":
        check_takeover(one)
    if one.definition.options.chunk is None:
        for name, parameter in one.definition.signature.parameters.items():
            is_required = parameter.default is inspect.Parameter.empty
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and is_required:
                raise ConfigurationError(
                    f"no message fits: a body gives arguments by name, and {name!r} of"
                    f" {one.definition.signature.signature} is positional-only"
                )
