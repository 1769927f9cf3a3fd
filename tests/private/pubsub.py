"""Google's emulator of Pub/Sub, which keeps all in memory.

It comes with the Google Cloud SDK (Debian package ``google-cloud-cli-pubsub-emulator``), which is in Google's own
registry and in none that a bare machine knows. ``.ci/run`` installs it where apt knows it. Where neither the SDK nor
the jar is, its tests are skipped even if everything is required; DJANGO_JOBS_TEST_PUBSUB_EMULATOR names another jar.

What it lacks: filters, seek, permissions, and the token of a push. The clients are imported late: they take a second.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.required import is_missing

from .base import PrivateServer, find_program

PACKAGE = "google-cloud-cli-pubsub-emulator"
VARIABLE = "DJANGO_JOBS_TEST_PUBSUB_EMULATOR"
PLACES = (
    "/usr/lib/google-cloud-sdk/platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
    "/usr/share/google-cloud-sdk/platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
    "/opt/google-cloud-sdk/platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
    f"{Path.home()}/google-cloud-sdk/platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
)
PROJECT = "test-project"


class PrivatePubSub(PrivateServer):
    """Listens at 127.0.0.1; the project is ``test-project``."""

    user = pwd.getpwuid(os.geteuid()).pw_name

    def _make(self) -> None:
        self._channel: Any = None
        found = [str(path) for place in PLACES for path in Path("/").glob(place.removeprefix("/"))]
        self._jar = os.environ.get(VARIABLE) or next(iter(found), "")
        if not self._jar:
            what = f"Google's emulator of Pub/Sub ({PACKAGE} of Google's registry, or its jar in {VARIABLE})"
            if find_program("gcloud"):
                is_missing(what)
            pytest.skip(f"missing, and not required without the Google Cloud SDK: {what}")
        self._java = find_program("java", "usr/lib/jvm/*/bin") or is_missing("Java (Debian: default-jre-headless)")

    def _command(self) -> Sequence[str]:
        memory = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        return [self._java, *memory, "-jar", self._jar, "--host=127.0.0.1", f"--port={self.port}"]

    def settings(self) -> dict[str, str]:
        return {"HOST": "127.0.0.1", "PORT": str(self.port), "USER": "", "PASSWORD": ""}

    def answers(self) -> bool:
        import grpc
        from google.pubsub_v1 import types

        request = types.ListTopicsRequest(project=f"projects/{PROJECT}")
        try:
            self.publisher.list_topics(request, timeout=2)
        except grpc.RpcError:
            self._close()
            return False
        return True

    @property
    def publisher(self) -> Any:
        """Google's own calls, to make topics."""
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

        return PublisherGrpcTransport(channel=self._open())

    @property
    def subscriber(self) -> Any:
        """Google's own calls, to make subscriptions."""
        from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

        return SubscriberGrpcTransport(channel=self._open())

    def create_topic(self, name: str) -> None:
        """Create a topic, and a subscription of the same name that keeps the order of keys."""
        from google.pubsub_v1 import types

        topic = f"projects/{PROJECT}/topics/{name}"
        self.publisher.create_topic(types.Topic(name=topic), timeout=60)
        self.create_subscription(name, topic=name)

    def create_subscription(self, name: str, *, topic: str, **options: Any) -> None:
        """Create a subscription; the deadline is the shortest that there is, 10 seconds."""
        from google.pubsub_v1 import types

        options = {"enable_message_ordering": True, "ack_deadline_seconds": 10, **options}
        path, of = f"projects/{PROJECT}/subscriptions/{name}", f"projects/{PROJECT}/topics/{topic}"
        self.subscriber.create_subscription(types.Subscription(name=path, topic=of, **options), timeout=60)

    def count_left(self, subscription: str) -> int:
        """Return how many messages can be pulled now; they are given back at once."""
        from google.pubsub_v1 import types

        path = f"projects/{PROJECT}/subscriptions/{subscription}"
        request = types.PullRequest(subscription=path, max_messages=1_000, return_immediately=True)
        ids = [received.ack_id for received in self.subscriber.pull(request, timeout=60).received_messages]
        if ids:
            given_back = types.ModifyAckDeadlineRequest(subscription=path, ack_ids=ids, ack_deadline_seconds=0)
            self.subscriber.modify_ack_deadline(given_back, timeout=60)
        return len(ids)

    def remove(self) -> None:
        self._close()
        super().remove()

    def _open(self) -> Any:
        import grpc

        if self._channel is None:
            options = [("grpc.use_local_subchannel_pool", 1)]
            self._channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", options=options)
        return self._channel

    def _close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
