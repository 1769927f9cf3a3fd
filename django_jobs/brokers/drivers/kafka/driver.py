"""Connect to Kafka: a sender, or the topic that a subscription names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....conf.brokers import BrokerSettings
from ....exceptions import ConfigurationError
from ...interface import SourceKind, Subscription, import_client
from .client_options import CREATE_TOPICS, answer_seconds, delivery_seconds, sender_options, source_options
from .errors import Errors
from .forked import make_client
from .log import KafkaLog
from .sender import KafkaSender


class KafkaDriver:
    """The driver of ``kafka:``."""

    def __init__(self, settings: BrokerSettings, /) -> None:
        self._settings = settings

    def check(self, subscription: Subscription, /) -> None:
        """Refuse ``bind``, and options that librdkafka does not know."""
        if subscription.bind:
            raise ConfigurationError("bind: Kafka has no exchanges to bind a topic to; leave it out")
        module = import_client(self._settings.scheme)
        options = source_options(self._settings, subscription.group)
        del options["bootstrap.servers"]  # so it connects to nothing
        self._make(module.Consumer, options)

    def source_kind(self, subscription: Subscription, /) -> SourceKind:
        """Return that a topic is a log."""
        return "log"

    def open_sender(self) -> KafkaSender:
        """Connect."""
        options = sender_options(self._settings)
        errors, producer = self._connect("Producer", options)
        metadata = errors.connect(producer, lambda seconds: producer.list_topics(timeout=seconds))
        return KafkaSender(
            producer,
            errors,
            topics={name for name, topic in metadata.topics.items() if topic.error is None},
            creates_topics=bool(options[CREATE_TOPICS]),
            seconds=delivery_seconds(options),
        )

    def open_source(self, subscription: Subscription, /) -> KafkaLog:
        """Connect, and see that the topic is there."""
        options = source_options(self._settings, subscription.group)
        errors, consumer = self._connect("Consumer", options)
        name = subscription.name
        metadata = errors.connect(consumer, lambda seconds: consumer.list_topics(name, timeout=seconds))
        errors.check_topic(name, metadata.topics[name].error)
        module = import_client(self._settings.scheme)
        return KafkaLog(module, consumer, errors, topic=name, group=subscription.group)

    @property
    def _label(self) -> str:
        return f"DJANGO_JOBS['BROKERS'][{self._settings.name!r}]"

    def _connect(self, kind: str, options: Mapping[str, Any]) -> tuple[Errors, Any]:
        """Return a client of this kind, which begins to connect, and what hears its errors."""
        module = import_client(self._settings.scheme)
        errors = Errors(module, label=self._label, seconds=answer_seconds(options))
        return errors, self._make(getattr(module, kind), {**options, "error_cb": errors.hear})

    def _make(self, kind: type, options: dict[str, Any]) -> Any:
        module = import_client(self._settings.scheme)
        try:
            return make_client(kind, options)
        except module.KafkaException as error:
            raise ConfigurationError(f"{self._label}['options']: {error.args[0].str().strip()}") from None
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"{self._label}['options']: {error}") from None
