"""A channel to Pub/Sub, the four requests that are made over it, and who makes them.

The requests are made by gRPC itself: the client's own publisher and subscriber keep threads and batches that would
acknowledge and send at times of theirs.

A forked child must neither use nor close the channels of its parent: gRPC's threads do not live there, and a close
would wait for them for ever. So a child keeps what it has inherited for ever, untouched, and opens its own.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from weakref import WeakSet

from ....conf.brokers import BrokerSettings
from ....exceptions import ConfigurationError
from ...interface import BrokerDownError, import_client, import_extra

ENDPOINT = "pubsub.googleapis.com"
EMULATOR_VARIABLE = "PUBSUB_EMULATOR_HOST"
SCOPE = "https://www.googleapis.com/auth/pubsub"
OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_metadata_size", 4 * 1024 * 1024),
    ("grpc.keepalive_time_ms", 30_000),
    # Else a new channel inherits how long an earlier one that failed would wait until it connects again.
    ("grpc.use_local_subchannel_pool", 1),
)

_channels: WeakSet[Any] = WeakSet()
_held: list[Any] = []


class PubSubConnection:
    """A channel. Nothing is connected before the first request."""

    def __init__(self, settings: BrokerSettings, channel: Any) -> None:
        self._channel = channel
        self._pid = os.getpid()
        self._is_closed = False
        self.types = import_client(settings.scheme, "types")
        grpc = import_extra(settings.scheme, "grpc")
        self.error: type[Exception] = grpc.RpcError
        self.timeout_error: type[Exception] = grpc.FutureTimeoutError
        self.publish = self._request("Publisher/Publish", self.types.PublishRequest, self.types.PublishResponse)
        self.pull = self._request("Subscriber/Pull", self.types.PullRequest, self.types.PullResponse)
        self.acknowledge = self._request("Subscriber/Acknowledge", self.types.AcknowledgeRequest)
        self.modify_deadline = self._request("Subscriber/ModifyAckDeadline", self.types.ModifyAckDeadlineRequest)
        _channels.add(channel)

    @property
    def is_own(self) -> bool:
        """True while it is open, in the process that has opened it."""
        return not self._is_closed and self._pid == os.getpid()

    def close(self) -> None:
        """Close the channel; nothing is raised."""
        if self.is_own:
            self._is_closed = True
            with suppress(Exception):
                self._channel.close()

    def _request(self, method: str, request: Any, response: Any = None) -> Any:
        """Return what makes a request; requests and responses are plain messages of protobuf, or bytes if empty."""
        return self._channel.unary_unary(
            f"/google.pubsub.v1.{method}",
            request_serializer=request.pb().SerializeToString,
            response_deserializer=None if response is None else response.pb().FromString,
        )


def route(field: str, name: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata by which Google routes a request for a topic or subscription."""
    return (("x-goog-request-params", urlencode({field: name}, safe="/")),)


def connect(settings: BrokerSettings) -> PubSubConnection:
    """Return a connection, to the emulator if one is named. Raises BrokerDownError or ConfigurationError."""
    import_client(settings.scheme)
    emulator = settings.options.get("emulator") or os.environ.get(EMULATOR_VARIABLE)
    if emulator:
        grpc = import_extra(settings.scheme, "grpc")
        options = (*OPTIONS, ("grpc.enable_http_proxy", 0))
        return PubSubConnection(settings, grpc.insecure_channel(emulator, options=options))
    credentials = _credentials(settings)
    helpers = import_extra(settings.scheme, "google.api_core.grpc_helpers")
    endpoint = settings.options.get("endpoint") or ENDPOINT
    channel = helpers.create_channel(endpoint, credentials=credentials, default_host=ENDPOINT, options=OPTIONS)
    return PubSubConnection(settings, channel)


def _credentials(settings: BrokerSettings) -> Any:
    """Return credentials with a token, so that wrong ones are found here and not as a broker that is down."""
    auth = import_extra(settings.scheme, "google.auth")
    accounts = import_extra(settings.scheme, "google.oauth2.service_account")
    errors = import_extra(settings.scheme, "google.auth.exceptions")
    transport = import_extra(settings.scheme, "google.auth.transport.requests")
    path = settings.options.get("credentials_file")
    source = (
        f"the file {path!r}, of a service account,"
        if path
        else "the environment's default (GOOGLE_APPLICATION_CREDENTIALS)"
    )
    expected = (
        f"DJANGO_JOBS['BROKERS'][{settings.name!r}]['options']['credentials_file']: expected credentials of Google"
    )
    try:
        if path:
            credentials = accounts.Credentials.from_service_account_file(path, scopes=[SCOPE])
        else:
            credentials, _ = auth.default(scopes=[SCOPE])
        if hasattr(credentials, "with_always_use_jwt_access"):
            credentials = credentials.with_always_use_jwt_access(True)  # a service account signs its token itself
        credentials.refresh(transport.Request())
    except (errors.DefaultCredentialsError, OSError, ValueError) as error:
        raise ConfigurationError(f"{expected}; {source} gives none: {error}") from error
    except errors.TransportError as error:
        raise BrokerDownError(str(error)) from error
    except errors.RefreshError as error:
        if error.retryable:
            raise BrokerDownError(str(error)) from error
        raise ConfigurationError(f"{expected}; those of {source} are refused: {error}") from error
    return credentials


def _hold() -> None:
    """Hold all channels during the fork: what else the child does first may drop them."""
    _held.extend(_channels)


def _keep_for_ever() -> None:
    for channel in _held:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(channel))
    _held.clear()
    _channels.clear()


os.register_at_fork(before=_hold, after_in_parent=_held.clear, after_in_child=_keep_for_ever)
