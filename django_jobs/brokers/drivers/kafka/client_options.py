"""The options of librdkafka that a sender and a source begin with: the user's, and those that keep our promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....conf.brokers import BrokerSettings
from ....exceptions import ConfigurationError

ANSWER_OPTION, DELIVERY_OPTIONS = "socket.timeout.ms", ("delivery.timeout.ms", "message.timeout.ms")
ANSWER_MILLISECONDS, DELIVERY_MILLISECONDS = 10_000, 30_000
CREATE_TOPICS = "allow.auto.create.topics"
DEFAULTS = {
    "client.id": "django_jobs",
    "log_level": 2,  # its errors come back as errors, so they are not printed as well
    ANSWER_OPTION: ANSWER_MILLISECONDS,
    CREATE_TOPICS: False,
}
SENDER = {"acks": "all", "enable.idempotence": True}
SOURCE = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "earliest",
}
GROUP = "django_jobs"
"""The group's name for a client that commits to none."""
OWNED = {
    **dict.fromkeys(("bootstrap.servers", "metadata.broker.list"), "name the brokers in the URL"),
    "group.id": "name it by group= of @consumes",
    **dict.fromkeys(
        ("request.required.acks", "transactional.id", *SENDER), "each message is confirmed by all replicas"
    ),
    **dict.fromkeys(("enable.auto.offset.store", *SOURCE), "positions are kept in the database"),
    **dict.fromkeys(("error_cb", "on_delivery", "on_commit"), "the driver listens itself"),
}


def sender_options(settings: BrokerSettings) -> dict[str, Any]:
    """Return the options of a producer."""
    delivery = {} if _given(settings.options, *DELIVERY_OPTIONS) else {DELIVERY_OPTIONS[0]: DELIVERY_MILLISECONDS}
    return {**_common(settings), **delivery, **SENDER}


def source_options(settings: BrokerSettings, group: str) -> dict[str, Any]:
    """Return the options of a consumer, which joins no group; ``group`` is what positions are committed to."""
    return {**_common(settings), **SOURCE, "group.id": group or GROUP}


def answer_seconds(options: Mapping[str, Any]) -> float:
    """Return how long a broker may take to answer."""
    return float(options[ANSWER_OPTION]) / 1000


def delivery_seconds(options: Mapping[str, Any]) -> float:
    """Return how long a message may take until it is confirmed."""
    return next(float(options[name]) / 1000 for name in DELIVERY_OPTIONS if name in options)


def _common(settings: BrokerSettings) -> dict[str, Any]:
    label = f"DJANGO_JOBS['BROKERS'][{settings.name!r}]"
    for name in settings.options:
        if name in OWNED:
            raise ConfigurationError(f"{label}['options']: {name!r} cannot be set: {OWNED[name]}")
    for name in (ANSWER_OPTION, *DELIVERY_OPTIONS):
        _check_milliseconds(label, name, settings.options.get(name, 1))
    if settings.url.path or settings.url.query:
        raise ConfigurationError(
            f"{label}['url']: expected kafka://user:password@host:9092,host:9092, got one with a path or a query;"
            " topics are named where they are used, and options under 'options'"
        )
    return {
        "bootstrap.servers": ",".join(settings.url.hosts),
        **DEFAULTS,
        **_login(settings),
        **settings.options,
    }


def _login(settings: BrokerSettings) -> dict[str, str]:
    """Return what the URL's user becomes: by default a password crosses no network in the clear."""
    if not settings.url.user:
        return {}
    mechanism = {} if _given(settings.options, "sasl.mechanism", "sasl.mechanisms") else {"sasl.mechanisms": "PLAIN"}
    return {
        "security.protocol": "SASL_SSL",
        **mechanism,
        "sasl.username": settings.url.user,
        "sasl.password": settings.url.password,
    }


def _given(options: Mapping[str, Any], *names: str) -> bool:
    return any(name in options for name in names)


def _check_milliseconds(label: str, name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ConfigurationError(f"{label}['options'][{name!r}]: expected milliseconds above 0, got {value!r}")
