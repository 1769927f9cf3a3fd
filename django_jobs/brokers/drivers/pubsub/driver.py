"""Connect to Pub/Sub: a sender, or the subscription that is pulled."""

from __future__ import annotations

from ....conf.brokers import BrokerSettings
from ....exceptions import ConfigurationError
from ...interface import SourceKind, Subscription
from .connection import connect
from .errors import opening_error
from .names import check_subscription_name, full_name, project_of
from .queue import PubSubQueue
from .sender import PubSubSender
from .tokens import import_jwt


class PubSubDriver:
    """The driver of ``pubsub:``."""

    def __init__(self, settings: BrokerSettings, /) -> None:
        self._settings = settings

    def check(self, subscription: Subscription, /) -> None:
        """Refuse groups, ``bind``, ``start="latest"``, names that no subscription can have, and more in the URL."""
        project = project_of(self._settings)
        check_subscription_name(project, subscription.name)
        if self._settings.is_pushed:
            import_jwt(self._settings)
        if subscription.group:
            raise ConfigurationError(
                f"group: a subscription of Pub/Sub has no groups, got {subscription.group!r}; leave it out: all"
                " consumers of a subscription share it, and each other purpose gets one of its own to the same topic"
            )
        if subscription.bind:
            raise ConfigurationError(
                "bind: Pub/Sub has no exchanges; leave it out, and create the subscription with its topic and filter"
            )
        if subscription.start != "earliest":
            raise ConfigurationError(
                f"start: a subscription is read from its first message, got {subscription.start!r}; leave it out"
            )

    def source_kind(self, subscription: Subscription, /) -> SourceKind:
        """Return that a subscription is a queue."""
        return "queue"

    def open_sender(self) -> PubSubSender:
        """Find credentials; the first batch connects."""
        project = project_of(self._settings)
        return PubSubSender(connect(self._settings), project=project)

    def open_source(self, subscription: Subscription, /) -> PubSubQueue:
        """Connect, and see that the subscription is there and may be pulled."""
        project = project_of(self._settings)
        connection = connect(self._settings)
        try:
            return PubSubQueue(connection, full_name(project, "subscriptions", subscription.name))
        except connection.error as error:
            connection.close()
            label = f"DJANGO_JOBS['BROKERS'][{self._settings.name!r}]"
            raise opening_error(error, label=label, project=project, subscription=subscription.name) from error
        except BaseException:
            connection.close()
            raise
