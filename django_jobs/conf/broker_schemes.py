"""The schemes of brokers' URLs: which driver, client and extra each has, and which options it takes.

A driver of a new broker is one entry at the end of this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .broker_push import as_push
from .fields import Reader
from .readers import as_base_url, as_bool, as_count, as_duration, as_host, as_path, as_text, optional


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerScheme:
    """The kind of brokers whose URLs begin with ``name:``, as far as it is known without importing their client.

    ``driver``: the dotted path of the class, a ``brokers.interface.Driver``, imported when a broker is used.
    ``client``: the module that the driver imports, and ``extra`` the extra of django-jobs-engine that installs it.
    ``options``: readers of the keys under ``"options"``; None: any key with a plain value, which goes to the client.
    ``has_streams``: a queue of it may be a stream, which ``@consumes(stream=True)`` reads as a log.
    ``needs_host``: a URL without a host is wrong. ``is_local``: no server; a message is a job for each subscriber.
    """

    name: str
    driver: str
    example: str
    client: str = ""
    extra: str = ""
    options: Mapping[str, Reader[Any]] | None = field(default_factory=lambda: MappingProxyType({}))
    needs_host: bool = True
    is_local: bool = False
    has_streams: bool = False


_schemes: dict[str, BrokerScheme] = {}


def register_scheme(scheme: BrokerScheme) -> None:
    """Make a scheme known, in place of an earlier one of its name."""
    _schemes[scheme.name] = scheme


def find_scheme(name: str) -> BrokerScheme | None:
    """Return the scheme of this name, or None."""
    return _schemes.get(name)


def get_scheme(name: str) -> BrokerScheme:
    """Return a known scheme."""
    return _schemes[name]


def known_schemes() -> list[str]:
    """Return the names of all schemes, sorted."""
    return sorted(_schemes)


register_scheme(
    BrokerScheme(
        name="database",
        driver="django_jobs.brokers.drivers.database.DatabaseDriver",
        example="database:",
        needs_host=False,
        is_local=True,
    )
)

_tls_files: Mapping[str, Reader[Any]] = {"ca_file": as_path, "cert_file": as_path, "key_file": as_path}

for _name in ("redis", "rediss"):
    register_scheme(
        BrokerScheme(
            name=_name,
            driver="django_jobs.brokers.drivers.redis.RedisDriver",
            example=f"{_name}://user:password@host:6379/0",
            client="redis",
            extra="redis",
            options={
                "create_streams": as_bool,
                "max_length": as_count,
                "redeliver_after": as_duration,
                **(_tls_files if _name == "rediss" else {}),
            },
        )
    )

for _name, _port in (("amqp", 5672), ("amqps", 5671)):
    register_scheme(
        BrokerScheme(
            name=_name,
            driver="django_jobs.brokers.drivers.rabbitmq.RabbitDriver",
            example=f"{_name}://user:password@host:{_port}/vhost",
            client="amqp",
            extra="rabbitmq",
            options={
                "create_queues": as_bool,
                "prefetch": as_count,
                "heartbeat": as_duration,
                **_tls_files,
            },
            has_streams=True,
        )
    )

register_scheme(
    BrokerScheme(
        name="kafka",
        driver="django_jobs.brokers.drivers.kafka.KafkaDriver",
        example="kafka://user:password@host:9092,host:9092",
        client="confluent_kafka",
        extra="kafka",
        options=None,
    )
)

register_scheme(
    BrokerScheme(
        name="sqs",
        driver="django_jobs.brokers.drivers.sqs.SqsDriver",
        example="sqs://eu-central-1",
        client="boto3",
        extra="sqs",
        options={
            "endpoint_url": as_base_url,
            "profile_name": optional(as_text),
            "aws_access_key_id": optional(as_text),
            "aws_secret_access_key": optional(as_text),
            "aws_session_token": optional(as_text),
            "ca_file": optional(as_path),
            "redeliver_after": optional(as_duration),
        },
    )
)

register_scheme(
    BrokerScheme(
        name="pubsub",
        driver="django_jobs.brokers.drivers.pubsub.PubSubDriver",
        example="pubsub://project-id",
        client="google.pubsub_v1",
        extra="pubsub",
        options={
            "credentials_file": optional(as_path),
            "emulator": optional(as_host),
            "endpoint": optional(as_host),
            "push": as_push,
        },
    )
)
