"""Wake an idle worker by the channels of a Redis, where its database cannot."""

from __future__ import annotations

import time

from django.db import connections

from ....policy.broker_url import BrokerURL
from ....policy.notifications import CHANNEL, SCHEDULERS_CHANNEL
from ....store.notify import FAST_POLL_SECONDS
from ....store.redis_channels import Outage, Subscription, channel_of
from ...execution.runtime import WorkerContext
from ...system.forked_copies import close_in_copies
from ...threads.wake import SocketWake
from .base import queue_filter, report_work


class RedisNotifier(SocketWake):
    """The channels of the setting's NOTIFIER, on a connection of the loop's own to that Redis.

    An end of that connection is no error of the worker: it polls as if it had no notifier, and tries again.
    """

    def __init__(self, context: WorkerContext, url: BrokerURL) -> None:
        super().__init__()
        self._events = context.events
        self._queues = queue_filter(context)
        connection = connections[context.using]
        self._jobs_channel, self._schedulers_channel = (
            channel_of(connection, name) for name in (CHANNEL, SCHEDULERS_CHANNEL)
        )
        self._works = context.options.works
        self._url = url
        self._outage = Outage(url)
        self._subscription: Subscription | None = None

    @property
    def is_listening(self) -> bool:
        """True while every enqueue will be noticed."""
        return self._subscription is not None

    @property
    def is_listening_for_schedules(self) -> bool:
        """True while every change of a schedule will be noticed."""
        return self._subscription is not None

    def listen(self) -> None:
        """Subscribe, if the connection has ended and the server was left alone long enough. Never raises."""
        if self._subscription is not None or self._outage.is_paused:
            return
        channels = [self._jobs_channel, self._schedulers_channel] if self._works else [self._schedulers_channel]
        try:
            self._subscription = Subscription(self._url, channels)
        except Exception as error:  # noqa: BLE001 - of the client or the network; the worker polls
            self._outage.failed(error)
            return
        close_in_copies(self._subscription)
        self._outage.succeeded()
        # Something may have happened before.
        self._events.work_enqueued(FAST_POLL_SECONDS)
        self._events.schedules_changed()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until a notification was reported, until set, or for ``timeout`` seconds."""
        ends_at = time.monotonic() + (timeout or 0)
        while not self.is_set and (left := ends_at - time.monotonic()) > 0:
            subscription = self._subscription
            if self.wait_for(subscription.fileno() if subscription else None, left) and subscription:
                self._receive(subscription)
        return True

    def close(self) -> None:
        """End the connection."""
        super().close()
        self._unsubscribe()

    def _receive(self, subscription: Subscription) -> None:
        try:
            subscription.receive(self._take)
        except Exception as error:  # noqa: BLE001 - of the client or the network
            self._outage.failed(error)
            self._unsubscribe()

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self.wait_for(None, 0)  # the number of the descriptor will be another file's
            self._subscription.close()
            self._subscription = None

    def _take(self, channel: str, payload: str) -> None:
        if channel == self._schedulers_channel:
            self._events.schedules_changed()
        else:
            report_work(self._events, self._queues, payload)
